"""A replay from start to end: look through the range, run every variant, remember how far it got."""

import os
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from schemas.codec import RecordUndecodable
from schemas.records import Replay
from schemas.registry import LockedIds, SchemaSource, serde
from streams.errors import StartRefused
from streams.settings import KafkaSettings, Settings
from topology.cluster import Cluster
from topology.contract import known_schemas, subjects
from topology.embedded.cache import cache_directory
from topology.outside import Tell
from topology.producing import Outgoing, deliver
from topology.reading import TO_THE_END, Decoder, open_reader
from topology.replay.history import History, Survey
from topology.replay.journal import Journal
from topology.replay.learned import Snapshot, snapshot
from topology.replay.order import Answers, Order, Seed, checked_name
from topology.replay.topics import own_prefix, ready, recorded_answers, replays, results
from topology.replay.variant import Run, play, remove
from topology.topics import Topics

Advance = Callable[[int, str, int, int], None]
"""Called with the number and name of the variant, how many of its requests are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a replay would do: the answer to a dry run."""

    name: str
    digest: str
    order: Order
    survey: Survey
    notes: tuple[str, ...]


async def outlook(settings: Settings, order: Order, name: str | None) -> Outlook:
    """Look through the range; writes nothing.

    Raises:
        StartRefused: there is nothing to replay.
    """
    digest = order.digest(settings)
    survey = await _history(settings, order).survey()
    seed = await _seed(settings, order)
    return Outlook(
        name=checked_name(name, digest),
        digest=digest,
        order=order,
        survey=survey,
        notes=(*survey.notes(order), *seed.notes),
    )


async def replay(
    settings: Settings,
    order: Order,
    name: str | None,
    answers: Answers,
    *,
    in_flight: int,
    tell: Tell,
    advance: Advance,
) -> Replay:
    """Run what is left of a replay; the same order goes on where it was interrupted.

    Raises:
        StartRefused: there is nothing to replay, or another replay has the name.
    """
    looked = await outlook(settings, order, name)
    kafka = settings.kafka
    before = await find(kafka, looked.name)
    if before is not None and before.digest != looked.digest:
        raise StartRefused(
            f"replay {looked.name} is another one (or the settings have changed since); choose another --name, or "
            f"`forgestream replay drop {looked.name}` first"
        )
    if before is not None and before.finished_at is not None:
        return before
    topics = [results(kafka, looked.name, number) for number in range(1, len(order.variants) + 1)]
    ids = await ready([replays(kafka), recorded_answers(kafka), *topics], kafka)
    # what a killed start has left behind
    await remove(kafka, own_prefix(kafka, looked.name), but=[topic.name for topic in topics])
    begun = before or _begun(looked, answers)
    await _remember(settings, begun, ids)
    tell(f"replay {looked.name}: {looked.survey.taken:,} requests, {', '.join(begun.variants)}")
    run = Run(
        settings=settings,
        order=order,
        name=looked.name,
        digest=looked.digest,
        answers=answers,
        in_flight=in_flight,
        history=_history(settings, order),
        survey=looked.survey,
        seed=await _seed(settings, order),
        cache_dir=cache_directory(settings.embedded.cache_dir, os.environ),
        tell=tell,
    )
    for number, variant in enumerate(order.variants, 1):

        def on_done(done: int, number: int = number, name: str = variant.name) -> None:
            advance(number, name, done, looked.survey.taken)

        await play(run, number, variant, Journal(topics[number - 1], ids, kafka), on_done)
    finished = replace(begun, finished_at=_now())
    await _remember(settings, finished, ids)
    return finished


async def listed(kafka: KafkaSettings) -> Sequence[Replay]:
    """Return every replay of the deployment, oldest first."""
    topic = replays(kafka)
    if topic.name not in await Cluster(kafka).topics():
        return []
    decoder = Decoder(await _ids(kafka), [topic])
    reader = await open_reader([topic.name], TO_THE_END, kafka)
    found: dict[bytes, Replay] = {}
    async with aclosing(reader.records()) as records:
        async for read in records:
            record = await _record(decoder, read)
            if record is None:
                found.pop(read.key or b"", None)
            else:
                found[read.key or b""] = record
    return sorted(found.values(), key=lambda one: one.started_at)


async def find(kafka: KafkaSettings, name: str) -> Replay | None:
    """Return the replay of that name."""
    return next((one for one in await listed(kafka) if one.name == name), None)


async def existing(kafka: KafkaSettings, name: str) -> Replay:
    """Return the replay of that name.

    Raises:
        StartRefused: there is none.
    """
    found = await find(kafka, name)
    if found is None:
        names = ", ".join(one.name for one in await listed(kafka)) or "none"
        raise StartRefused(f"there is no replay {name!r}; there is: {names}")
    return found


async def done_of(settings: Settings, found: Replay) -> Sequence[int]:
    """Return how many requests of each variant are done."""
    kafka = settings.kafka
    cluster = Cluster(kafka)
    there = await cluster.topics()
    names = [results(kafka, found.name, number).name for number in range(1, len(found.variants) + 1)]
    ends = await cluster.offsets([there[name] for name in names if name in there])
    return [min(found.requests, ends.get((name, 0), (0, 0))[1]) for name in names]


async def drop(settings: Settings, name: str, *, also_answers: bool) -> int:
    """Delete everything of a replay; recorded answers are shared by all, and stay unless `also_answers`.

    Raises:
        StartRefused: there is no such replay.
    """
    kafka = settings.kafka
    found = await existing(kafka, name)
    removed = await remove(kafka, own_prefix(kafka, found.name))
    if also_answers:
        await Cluster(kafka).delete([recorded_answers(kafka).name])
    await deliver([Outgoing(topic=replays(kafka).name, key=found.name.encode(), value=None)], settings)
    return removed + also_answers


def journal(kafka: KafkaSettings, ids: SchemaSource, name: str, number: int) -> Journal:
    """Return the results of one variant."""
    return Journal(results(kafka, name, number), ids, kafka)


async def _record(decoder: Decoder, read: Any) -> Replay | None:  # noqa: ANN401 - what a reader yields
    try:
        record: Replay | None = await decoder.record(read)
    except RecordUndecodable:
        return None
    return record


async def _remember(settings: Settings, found: Replay, ids: SchemaSource) -> None:
    topic = replays(settings.kafka)
    value = serde(ids, topic.name, Replay).encode(found)
    await deliver([Outgoing(topic=topic.name, key=topic.key(found).encode(), value=value)], settings)


def _history(settings: Settings, order: Order) -> History:
    topic = Topics.of(settings.kafka).named(order.topic)
    if topic is None:
        raise StartRefused(f"there is no topic {order.topic}")
    return History(order, topic, known_schemas(settings.registry), settings.kafka)


async def _seed(settings: Settings, order: Order) -> Snapshot:
    if order.seed is Seed.EMPTY:
        return Snapshot()
    return await snapshot(settings, known_schemas(settings.registry), order.start)


def _begun(looked: Outlook, answers: Answers) -> Replay:
    order = looked.order
    return Replay(
        name=looked.name,
        digest=looked.digest,
        topic=order.topic,
        start=order.start,
        end=order.end,
        sample=order.sample,
        variants=tuple(variant.name for variant in order.variants),
        seed=order.seed,
        answers=answers,
        requests=looked.survey.taken,
        notes=looked.notes,
        started_at=_now(),
    )


async def _ids(kafka: KafkaSettings) -> SchemaSource:
    ids = LockedIds()
    await ids.start(subjects([replays(kafka)]))
    return ids


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
