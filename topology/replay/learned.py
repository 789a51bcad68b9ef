"""What the stages of a replay have learned: champions and circuits, moved by the same rules in an order that never changes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from agents.rank import rules as rank
from agents.watch import rules as watch
from schemas.codec import RecordUndecodable
from schemas.records import CircuitState, Outcome, Ranking, ReplayedRequest, Result, Session, Verdict
from schemas.registry import SchemaSource
from streams.circuit import unwell
from streams.settings import RankSettings, Settings, WatchSettings
from streams.topic import Topic
from topology.cluster import Cluster
from topology.reading import TO_THE_END, Decoder, open_reader
from topology.tables import changelog

POLICY = "policy_compliance"
SHOWN = 10  # keys named in a note


class Learned:
    """Champions and circuits of one variant. `learn` moves them; the stages see them as plain mappings."""

    def __init__(self, rank_settings: RankSettings, watch_settings: WatchSettings, seed: "Snapshot") -> None:
        self.champions: dict[str, Ranking] = dict(seed.champions)
        self.circuits: dict[str, CircuitState] = dict(seed.circuits)
        self._rank = rank_settings
        self._watch = watch_settings

    def learn(self, done: Iterable[ReplayedRequest]) -> None:
        """Count what requests ended with, in the order of the range."""
        for request in done:
            for outcome in request.outcomes:
                self._see(outcome)
            if (verdict := verdict_of(request.result)) is not None:
                self.judge(verdict)

    def judge(self, verdict: Verdict) -> None:
        """Count a verdict."""
        ranking = self.champions.get(verdict.cell) or rank.unranked(verdict.cell)
        self.champions[verdict.cell] = rank.after(ranking, verdict, self._rank, unwell(self.circuits))

    def _see(self, outcome: Outcome) -> None:
        state = self.circuits.get(outcome.dependency) or watch.unwatched(outcome.dependency)
        self.circuits[outcome.dependency] = watch.after(state, outcome, self._watch)


class Snapshot:
    """Champions, circuits and conversations at a moment, and what could not be known about it."""

    def __init__(self) -> None:
        self.champions: Mapping[str, Ranking] = {}
        self.circuits: Mapping[str, CircuitState] = {}
        self.sessions: Mapping[str, Session] = {}
        self.notes: tuple[str, ...] = ()


async def snapshot(settings: Settings, schemas: SchemaSource, at: datetime) -> Snapshot:
    """Return the live tables as their changelogs tell them up to `at`. Reads only."""
    found = Snapshot()
    existing = await Cluster(settings.kafka).topics()
    for table, record in (("champions", Ranking), ("circuits", CircuitState), ("sessions", Session)):
        log = changelog(table, record, settings)
        if log.name not in existing:
            found.notes += (f"there is no live table {table} yet: it begins empty",)
            continue
        rows, lost = await _rows(log, schemas, settings, at)
        setattr(found, table, rows)
        if lost:
            found.notes += (
                f"of {_some(lost)} table {table} has newer rows only: what it held before, if anything, is compacted away",
            )
    return found


def verdict_of(result: Result) -> Verdict | None:
    """Return what `evaluate` has told the champions of this result; None when there was nothing to judge."""
    if result.overall is None or result.decision is None:
        return None
    breach = any(score.name == POLICY and score.value == 0.0 for score in result.scores)
    return Verdict(
        verdict_id=f"{result.origin.request_id}/{result.evaluator}",
        cell=result.decision.cell,
        model=result.decision.model,
        score=0.0 if breach else result.overall,
        latency_ms=result.latency_ms,
        cost_usd=result.cost_usd,
        at=result.origin.event_time,
    )


async def _rows(
    topic: Topic[Any], schemas: SchemaSource, settings: Settings, at: datetime
) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Return the newest row of each key up to `at`, and the keys whose rows of that time are gone."""
    decoder = Decoder(schemas, [topic])
    reader = await open_reader([topic.name], TO_THE_END, settings.kafka)
    rows: dict[str, Any] = {}
    later: set[str] = set()
    async with aclosing(reader.records()) as records:
        async for found in records:
            key = (found.key or b"").decode("utf-8", "replace")
            if found.at > at:
                later |= {key} - rows.keys()
                continue
            try:
                rows[key] = await decoder.record(found)
            except RecordUndecodable:
                later.add(key)
    return {key: row for key, row in rows.items() if row is not None}, sorted(later - rows.keys())


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:SHOWN])
    return shown if len(keys) <= SHOWN else f"{shown} and {len(keys) - SHOWN:,} more"
