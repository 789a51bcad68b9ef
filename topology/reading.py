"""Reading topics from outside: no group, no commits, nothing changed on the cluster."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from schemas.codec import RecordUndecodable, SchemaUnknown, Serde
from schemas.registry import RegistryUnavailable, SchemaSource, serde
from streams.errors import PipelineError, StartRefused
from streams.producer import connection
from streams.settings import KafkaSettings
from streams.topic import Topic
from topology.cluster import Cluster

BATCH = 500
WAIT_S = 0.1
FETCH_WAIT_MS = 20
READ_AHEAD_KB = 16 * 1024  # librdkafka would hold 64 MB of every reader
NO_GROUP = "forgestream-reader"  # librdkafka wants a name; nothing is ever committed under it


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One record as it lies on its topic."""

    topic: str
    partition: int
    offset: int
    at: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    def header(self, name: str) -> str | None:
        """Return a header as text."""
        return next((content.decode("utf-8", "replace") for found, content in self.headers if found == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What is read: from the beginning or from now, and whether reading goes on at the end."""

    from_beginning: bool
    follow: bool


FROM_NOW = Span(from_beginning=False, follow=True)
TO_THE_END = Span(from_beginning=True, follow=False)


class Reader:
    """Reads topics from where they were when it was opened."""

    def __init__(
        self, starts: Collection[TopicPartition], kafka: KafkaSettings, *, follow: bool, wait_s: float = WAIT_S
    ) -> None:
        self._starts = list(starts)
        self._kafka = kafka
        self._follow = follow
        self._wait_s = wait_s
        self._stopped = False

    def stop(self) -> None:
        """End the reading at the next look, also when it follows."""
        self._stopped = True

    async def records(self) -> AsyncGenerator[Read, None]:
        """Yield the records, each partition in order; ends at the end unless it follows."""
        consumer = Consumer(_configuration(self._kafka))
        try:
            consumer.assign(self._starts)
            unread = {(start.topic, start.partition) for start in self._starts}
            while (unread or self._follow) and not self._stopped:
                for message in await asyncio.to_thread(consumer.consume, BATCH, self._wait_s):
                    found = _read(message)
                    if isinstance(found, Read):
                        yield found
                    else:
                        unread.discard(found)
        finally:
            await asyncio.to_thread(consumer.close)


def reader_at(
    starts: Mapping[tuple[str, int], int], kafka: KafkaSettings, *, follow: bool, wait_s: float = WAIT_S
) -> Reader:
    """Return a reader that begins at the given offset of each (topic, partition)."""
    places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in starts.items()]
    return Reader(places, kafka, follow=follow, wait_s=wait_s)


async def open_reader(
    names: Collection[str], span: Span, kafka: KafkaSettings, *, partition: int | None = None
) -> Reader:
    """Look up where the topics, or one partition of them, begin and end; what is written from this moment on is not missed.

    Raises:
        BrokerUnreachable: no broker answers.
        StartRefused: a topic does not exist.
    """
    cluster = Cluster(kafka)
    existing = await cluster.topics()
    if missing := sorted(set(names) - set(existing)):
        raise StartRefused(f"there is no topic {', '.join(missing)} on {kafka.bootstrap}; see `forgestream topics`")
    offsets = await cluster.offsets([existing[name] for name in names])
    starts = [
        TopicPartition(*place, first if span.from_beginning else end)
        for place, (first, end) in offsets.items()
        if partition in {None, place[1]}
    ]
    return Reader(starts, kafka, follow=span.follow)


async def open_at(name: str, partition: int, offset: int, kafka: KafkaSettings) -> Reader | None:
    """Return a reader that begins at one record; None when the topic does not hold it.

    Raises:
        BrokerUnreachable: no broker answers.
        StartRefused: the topic does not exist.
    """
    cluster = Cluster(kafka)
    existing = await cluster.topics()
    if name not in existing:
        raise StartRefused(f"there is no topic {name} on {kafka.bootstrap}; see `forgestream topics`")
    first, end = (await cluster.offsets([existing[name]])).get((name, partition), (0, 0))
    if not first <= offset < end:
        return None
    return Reader([TopicPartition(name, partition, offset)], kafka, follow=False)


class Decoder:
    """Turns what was read into records; asks the registry for schemas it does not know."""

    def __init__(self, schemas: SchemaSource, topics: Iterable[Topic[Any]]) -> None:
        self._schemas = schemas
        self._serdes: Mapping[str, Serde[Any]] = {
            topic.name: serde(schemas, topic.name, topic.record) for topic in topics
        }

    async def record(self, found: Read) -> Any:  # noqa: ANN401 - of the topic's type
        """Return the record; None for a tombstone.

        Raises:
            RecordUndecodable: the bytes are no record of the topic.
        """
        return await self.record_of(found.topic, found.value)

    async def record_of(self, topic: str, value: bytes | None) -> Any:  # noqa: ANN401 - of the topic's type
        """Return the record that some bytes would be on a topic.

        Raises:
            RecordUndecodable: they would be none.
        """
        if value is None:
            return None
        decode = self._serdes[topic].decode
        try:
            return decode(value)
        except SchemaUnknown as unknown:
            try:
                await self._schemas.fetch(unknown.schema_id)
                return decode(value)
            except (SchemaUnknown, RegistryUnavailable) as still:
                raise RecordUndecodable(str(still)) from still


def _read(message: Message) -> Read | tuple[str, int]:
    """Return the record, or the partition whose end was reached."""
    topic, partition, error = message.topic(), message.partition(), message.error()
    if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public code of librdkafka
        return topic or "", partition or 0
    if error is not None or topic is None or partition is None:
        raise PipelineError(f"reading failed: {error}")
    _, at_ms = message.timestamp()
    return Read(
        topic=topic,
        partition=partition,
        offset=message.offset() or 0,
        at=datetime.fromtimestamp(max(at_ms, 0) / 1000, UTC),
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=tuple((name, _bytes(content) or b"") for name, content in _headers(message)),
    )


def _headers(message: Message) -> list[tuple[str, str | bytes | None]]:
    return cast("list[tuple[str, str | bytes | None]]", message.headers() or [])


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content


def _configuration(kafka: KafkaSettings) -> dict[str, Any]:
    return {
        **connection(kafka),
        "group.id": NO_GROUP,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": FETCH_WAIT_MS,
        "queued.max.messages.kbytes": READ_AHEAD_KB,
        "log_level": 0,
    }
