"""What a replay says: scores, wins and losses, time, tokens, price, failures, regressions, champions."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from schemas.codec import RecordUndecodable
from schemas.records import Ranking, Replay
from streams.settings import Settings
from topology.cluster import Cluster
from topology.contract import known_schemas
from topology.reading import Decoder, reader_at
from topology.replay.intervals import Mean
from topology.replay.learned import Learned, Snapshot, snapshot
from topology.replay.order import HISTORY, Seed
from topology.replay.run import done_of, journal
from topology.replay.tally import HISTORY_NUMBER, Compared, Pair, Tally
from topology.replay.topics import ready, results
from topology.topics import Topics

REGRESSIONS = 10
BINS = 41  # odd: the middle one holds no difference
ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One variant, or what was answered at the time."""

    name: str
    requests: int
    statuses: Mapping[str, int]
    score: Mean
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    input_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScore:
    """How one side did in one cell."""

    cell: str
    side: str
    models: Mapping[str, int]
    score: Mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sides, request by request, in one cell or in all."""

    before: str
    after: str
    cell: str
    compared: Compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Two sides as a whole: how far their scores lie apart, and where the second lost most."""

    before: str
    after: str
    histogram: Sequence[int]
    regressions: Sequence[Pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """Who leads a cell: when the range began, in the live table when it ended, and after each variant.

    `contest` is the champion if all variants had competed with each other.
    """

    cell: str
    at_start: str
    live: str
    variants: Mapping[str, str]
    contest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole of it."""

    replay: Replay
    done: Sequence[int]
    notes: Sequence[str]
    sides: Sequence[Side]
    cells: Sequence[CellScore]
    comparisons: Sequence[Comparison]
    contests: Sequence[Contest]
    champions: Sequence[Champion]


async def reported(settings: Settings, found: Replay) -> Report:
    """Return the report of a replay, finished or not."""
    with tempfile.TemporaryDirectory(prefix="forgestream-report-") as folder, Tally(Path(folder) / "tally") as tally:
        done = await done_of(settings, found)
        begun = [number for number, count in enumerate(done, 1) if count]
        seed, live = await _tables(settings, found)
        rankings = [await _load(settings, found, number, tally, seed) for number in begun]
        answered = await _load_history(settings, found, tally) if begun else 0
        notes = [*found.notes, *_notes(found, done, answered)]
        numbers = [HISTORY_NUMBER, *begun] if answered else begun
        names = {HISTORY_NUMBER: HISTORY, **{number: found.variants[number - 1] for number in begun}}
        return Report(
            replay=found,
            done=done,
            notes=notes,
            sides=[_side(tally, number, names[number]) for number in numbers],
            cells=[_cell(tally, cell, number, names[number]) for cell in tally.cells() for number in numbers],
            comparisons=_comparisons(tally, numbers, names),
            contests=_contests(tally, numbers, names),
            champions=_champions(
                settings, tally, seed, live, {names[n]: r for n, r in zip(begun, rankings, strict=True)}
            ),
        )


async def _tables(settings: Settings, found: Replay) -> tuple[Snapshot, Snapshot]:
    """Return the live tables at the start of the range (as the replay took them) and at its end."""
    schemas = known_schemas(settings.registry)
    seed = await snapshot(settings, schemas, found.start) if found.seed == Seed.LIVE else Snapshot()
    return seed, await snapshot(settings, schemas, found.end)


async def _load(settings: Settings, found: Replay, number: int, tally: Tally, seed: Snapshot) -> Mapping[str, Ranking]:
    """Count the results of a variant; returns the champions they led to."""
    learned = Learned(settings.rank, settings.watch, seed)
    ids = await ready([results(settings.kafka, found.name, number)], settings.kafka)
    async with aclosing(journal(settings.kafka, ids, found.name, number).read()) as entries:
        async for done in entries:
            tally.add(number, done)
            learned.learn([done])
    return learned.champions


async def _load_history(settings: Settings, found: Replay, tally: Tally) -> int:
    """Count what the replayed requests ended with at the time; returns how many are still to be had."""
    topic = Topics.of(settings.kafka).results
    cluster = Cluster(settings.kafka)
    existing = (await cluster.topics()).get(topic.name)
    if existing is None:
        return 0
    starts = {place: at for place, at in (await cluster.offsets_at([existing], found.start)).items() if at is not None}
    decoder = Decoder(known_schemas(settings.registry), [topic])
    answered = 0
    async with aclosing(reader_at(starts, settings.kafka, follow=False).records()) as records:
        async for read in records:
            try:
                answered += tally.add_history(await decoder.record(read))
            except RecordUndecodable:
                continue
    return answered


def _notes(found: Replay, done: Sequence[int], answered: int) -> Sequence[str]:
    notes = [
        f"unfinished: {name} has {count:,} of {found.requests:,} requests; run the same command again to go on"
        for name, count in zip(found.variants, done, strict=True)
        if count < found.requests
    ]
    if not answered:
        notes.append(
            "no result of the time is left on the topic `results`: the variants are compared with each other only"
        )
    elif answered < max(done):
        notes.append(
            f"of {max(done):,} requests {answered:,} have a result of the time; only those are compared with it"
        )
    return notes


def _side(tally: Tally, number: int, name: str) -> Side:
    statuses = tally.statuses(number)
    input_tokens, output_tokens, cost_usd = tally.spent(number)
    return Side(
        name=name,
        requests=sum(statuses.values()),
        statuses=statuses,
        score=tally.score(number),
        latency_p50_ms=tally.latency_ms(number, 0.5),
        latency_p95_ms=tally.latency_ms(number, 0.95),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=cost_usd,
    )


def _cell(tally: Tally, cell: str, number: int, name: str) -> CellScore:
    return CellScore(cell=cell, side=name, models=dict(tally.models(number, cell)), score=tally.score(number, cell))


def _comparisons(tally: Tally, numbers: Sequence[int], names: Mapping[int, str]) -> Sequence[Comparison]:
    return [
        Comparison(
            before=names[before],
            after=names[after],
            cell=cell or ALL,
            compared=tally.compared(before, after, cell),
        )
        for before, after in combinations(numbers, 2)
        for cell in (None, *tally.cells())
    ]


def _contests(tally: Tally, numbers: Sequence[int], names: Mapping[int, str]) -> Sequence[Contest]:
    return [
        Contest(
            before=names[before],
            after=names[after],
            histogram=tally.histogram(before, after, BINS),
            regressions=tally.regressions(before, after, REGRESSIONS),
        )
        for before, after in combinations(numbers, 2)
    ]


def _champions(
    settings: Settings, tally: Tally, seed: Snapshot, live: Snapshot, variants: Mapping[str, Mapping[str, Ranking]]
) -> Sequence[Champion]:
    contested = Learned(settings.rank, settings.watch, seed)
    for verdict in tally.verdicts():
        contested.judge(verdict)
    contest = contested.champions
    cells = {*contest, *live.champions, *(cell for rankings in variants.values() for cell in rankings)}
    return [
        Champion(
            cell=cell,
            at_start=_leader(seed.champions.get(cell)),
            live=_leader(live.champions.get(cell)),
            variants={name: _leader(rankings.get(cell)) for name, rankings in variants.items()},
            contest=_leader(contest.get(cell)),
        )
        for cell in sorted(cells)
    ]


def _leader(ranking: Ranking | None) -> str:
    """Return the champion with its score, or a dash."""
    if ranking is None or ranking.champion is None:
        return "-"
    score = next((f" {one.score:.3f}" for one in ranking.standings if one.model == ranking.champion), "")
    return f"{ranking.champion}{score}"
