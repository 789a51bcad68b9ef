"""Dead letters read from the cluster and sent back, with a record of who did it.

A letter is sent back first and noted then: whoever is interrupted in between sees it as open, never as done when it is not.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from schemas.codec import RecordUndecodable
from schemas.records import Redrive
from schemas.registry import serde
from streams.deadletter import code_version
from streams.errors import Undecodable
from streams.settings import KafkaSettings, Settings
from topology.cluster import Cluster
from topology.contract import open_schemas
from topology.diagram import drawn
from topology.letters import Choice, Letter, letter_of, redriven, refusal
from topology.producing import Outgoing, deliver
from topology.provision import plan_of, provision
from topology.reading import TO_THE_END, Decoder, Read, open_at, open_reader
from topology.topics import Topics

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an operator wants sent back."""

    choice: Choice
    issued_by: str
    reason: str = ""
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of an order: letters sent back, and for the others why not."""

    sent: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A letter with its record, and its redrive if there was one."""

    read: Read
    letter: Letter
    redrive: Redrive | None


async def redrives(settings: Settings) -> Mapping[str, Redrive]:
    """Return the newest redrive of every letter that was sent back; damaged records of the topic are passed over."""
    topics = Topics.of(settings.kafka)
    if topics.redrives.name not in await Cluster(settings.kafka).topics():
        return {}
    decoder = Decoder(await open_schemas(settings.registry, [topics.redrives]), [topics.redrives])
    reader = await open_reader([topics.redrives.name], TO_THE_END, settings.kafka)
    found: dict[str, Redrive] = {}
    async with aclosing(reader.records()) as records:
        async for read in records:
            try:
                record = await decoder.record(read)
            except RecordUndecodable:
                continue
            if isinstance(record, Redrive):
                found[record.letter_id] = record
    return found


async def letters(settings: Settings, choice: Choice) -> AsyncGenerator[Found, None]:
    """Yield the letters there are now, partition by partition in order; none that is written meanwhile."""
    done = await redrives(settings)
    name = Topics.of(settings.kafka).dead_letters.name
    reader = await open_reader([name], TO_THE_END, settings.kafka)
    ends = await _ends(name, settings.kafka)
    async with aclosing(reader.records()) as records:
        async for read in records:
            letter = letter_of(read)
            if read.offset < ends.get(read.partition, 0) and choice.takes(letter):
                yield Found(read=read, letter=letter, redrive=done.get(letter.letter_id))


async def letter_at(settings: Settings, partition: int, offset: int) -> Found | None:
    """Return one letter; None when there is none, or none any more."""
    reader = await open_at(Topics.of(settings.kafka).dead_letters.name, partition, offset, settings.kafka)
    if reader is None:
        return None
    async with aclosing(reader.records()) as records:
        read = await anext(records, None)
    if read is None or (read.partition, read.offset) != (partition, offset):
        return None
    letter = letter_of(read)
    return Found(read=read, letter=letter, redrive=(await redrives(settings)).get(letter.letter_id))


async def redrive(
    settings: Settings, order: Order, *, now: Callable[[], datetime], tell: Callable[[int], None] = lambda _: None
) -> Report:
    """Send letters back; `tell` hears how many have been dealt with."""
    diagram = drawn(settings)
    topics = diagram.topics
    taken = {topic.name: topic for topic in topics if diagram.readers(topic)}  # by a stage: nothing else is a way back
    schemas = await open_schemas(settings.registry, [*taken.values(), topics.redrives])
    decoder = Decoder(schemas, taken.values())
    if not order.dry_run:
        await provision([plan_of(topics.redrives, settings.kafka)], settings.kafka)
    report = Report()
    ready: list[tuple[Outgoing, Redrive]] = []

    async def send() -> None:
        if not order.dry_run:
            codec = serde(schemas, topics.redrives.name, Redrive)
            await deliver([outgoing for outgoing, _ in ready], settings)
            notes = [
                Outgoing(topic=topics.redrives.name, key=note.letter_id.encode(), value=codec.encode(note))
                for _, note in ready
            ]
            await deliver(notes, settings)
        report.sent.extend(note.letter_id for _, note in ready)
        ready.clear()
        tell(len(report.sent) + len(report.refused))

    async with aclosing(letters(settings, order.choice)) as chosen:
        async for found in chosen:
            outgoing = redriven(found.read, taken)
            why = "names no topic that a stage reads" if outgoing is None else await _refusal(found, decoder, order)
            if outgoing is None or why is not None:
                report.refused[found.letter.letter_id] = why or ""
                continue
            ready.append((outgoing, _note(found.letter, order, now())))
            if len(ready) == BATCH:
                await send()
    await send()
    return report


async def _refusal(found: Found, decoder: Decoder, order: Order) -> str | None:
    if order.force:
        return None
    return refusal(
        found.letter, before=found.redrive, unreadable=await unreadable(found, decoder), version=code_version()
    )


async def unreadable(found: Found, decoder: Decoder) -> str | None:
    """Return why a letter's bytes are no record of its topic today; None when they are one."""
    if found.read.value is None and found.letter.error_code == Undecodable.code:
        return "it is a null value, which has no meaning on its topic"
    try:
        await decoder.record_of(found.letter.topic, found.read.value)
    except RecordUndecodable as error:
        return str(error)
    return None


def _note(letter: Letter, order: Order, at: datetime) -> Redrive:
    return Redrive(
        letter_id=letter.letter_id,
        topic=letter.topic,
        error_code=letter.error_code,
        stage=letter.stage,
        redrives=letter.redrives + 1,
        forced=order.force,
        issued_by=order.issued_by,
        reason=order.reason,
        at=at,
    )


async def _ends(name: str, kafka: KafkaSettings) -> Mapping[int, int]:
    cluster = Cluster(kafka)
    offsets = await cluster.offsets([(await cluster.topics())[name]])
    return {partition: end for (_, partition), (_, end) in offsets.items()}


def missing(order: Order, report: Report) -> Sequence[str]:
    """Return the ids that were asked for and do not exist."""
    return sorted((order.choice.ids or frozenset()) - set(report.sent) - set(report.refused))
