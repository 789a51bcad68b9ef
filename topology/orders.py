"""Orders of an operator: sent on `commands`, and read back from the topic that repeats the table they change."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

from schemas.codec import RecordUndecodable
from schemas.records import Command
from schemas.registry import SchemaSource, serde
from streams.partitions import partition
from streams.settings import Settings
from streams.topic import Topic
from topology.contract import open_schemas
from topology.producing import Outgoing, deliver
from topology.reading import FROM_NOW, TO_THE_END, Decoder, Read, open_reader
from topology.topics import Topics


class Obeying(Protocol):
    """A row of a table that obeys commands."""

    @property
    def commands(self) -> Sequence[str]:
        """Ids of the newest commands obeyed."""


R = TypeVar("R", bound=Obeying)
T = TypeVar("T")


async def ordered(command: Command, shown_on: Topic[R], settings: Settings, *, wait_s: float) -> R | None:
    """Send a command and return the row that obeyed it; None when none had done so in time.

    Raises:
        StartRefused: no broker answers, or no worker has made the topics yet.
        DeliveryFailed: the broker did not take the command.
    """
    schemas = await open_schemas(settings.registry, Topics.of(settings.kafka))
    decoder = Decoder(schemas, [shown_on])

    async def obeying(found: Read) -> R | None:
        row = await _row(decoder, found, shown_on)
        return row if row is not None and command.command_id in row.commands else None

    return await _effect(command, shown_on, schemas, settings, obeying, wait_s=wait_s)


async def forgotten(command: Command, table: Topic[Any], settings: Settings, *, wait_s: float) -> bool:
    """Send a command and tell whether its subject left the table, of which `table` is the changelog, in time.

    Raises:
        StartRefused: no broker answers, or no worker has made the topics yet.
        DeliveryFailed: the broker did not take the command.
    """

    async def leaving(found: Read) -> bool | None:
        return True if found.key == command.subject.encode() and found.value is None else None

    schemas = await open_schemas(settings.registry, Topics.of(settings.kafka))
    return await _effect(command, table, schemas, settings, leaving, wait_s=wait_s) is not None


async def rows(topic: Topic[T], settings: Settings) -> Mapping[str, T]:
    """Return the newest row of every key of a compacted topic.

    Raises:
        StartRefused: no broker answers, or the topic does not exist.
    """
    decoder = Decoder(await open_schemas(settings.registry, Topics.of(settings.kafka)), [topic])
    reader = await open_reader([topic.name], TO_THE_END, settings.kafka)
    found: dict[str, T] = {}
    async with aclosing(reader.records()) as records:
        async for read in records:
            row = await _row(decoder, read, topic)
            name = (read.key or b"").decode("utf-8", "replace")
            if row is None:
                found.pop(name, None)
            else:
                found[name] = row
    return dict(sorted(found.items()))


async def row_of(topic: Topic[T], key: str, settings: Settings) -> T | None:
    """Return the newest row of one key, read from the one partition it is on; None when there is none.

    Raises:
        StartRefused: no broker answers, or the topic does not exist.
    """
    decoder = Decoder(await open_schemas(settings.registry, Topics.of(settings.kafka)), [topic])
    number = partition(key.encode(), topic.partitions)
    reader = await open_reader([topic.name], TO_THE_END, settings.kafka, partition=number)
    row: T | None = None
    async with aclosing(reader.records()) as records:
        async for read in records:
            if read.key == key.encode():
                row = await _row(decoder, read, topic)
    return row


async def _effect(
    command: Command,
    shown_on: Topic[Any],
    schemas: SchemaSource,
    settings: Settings,
    seen: Callable[[Read], Awaitable[T | None]],
    *,
    wait_s: float,
) -> T | None:
    """Send a command and return the first thing that `seen` makes of what then comes on a topic; None when nothing does in time."""
    commands = Topics.of(settings.kafka).commands
    reader = await open_reader([shown_on.name, commands.name], FROM_NOW, settings.kafka)
    value = serde(schemas, commands.name, Command).encode(command)
    await deliver([Outgoing(topic=commands.name, key=commands.key(command).encode(), value=value)], settings)
    if wait_s <= 0:
        return None
    try:
        async with asyncio.timeout(wait_s), aclosing(reader.records()) as records:
            async for found in records:
                if (effect := await seen(found)) is not None:
                    return effect
    except TimeoutError:
        return None
    return None


async def _row(decoder: Decoder, found: Read, topic: Topic[T]) -> T | None:
    if found.topic != topic.name:
        return None
    try:
        row: T | None = await decoder.record(found)
    except RecordUndecodable:
        return None
    return row
