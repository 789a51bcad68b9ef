"""Topics as lists, for the in-memory driver: Java's partitioner, offsets, and a producer whose outputs are stored one at a time."""

import itertools
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from streams.lanes import TopicPartition
from streams.partitions import partition as home
from streams.ports import Clock
from streams.producer import Headers, OnDelivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record on its log."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class MemoryLogs:
    """Every topic: partitions as lists.

    `refused` counts, by topic, the next outputs the broker will not confirm; outputs to topics in `withheld` are neither
    stored nor confirmed while they are there.
    """

    def __init__(self, partitions: int, clock: Clock) -> None:
        self.partitions = partitions
        self.refused: Counter[str] = Counter()
        self.withheld: set[str] = set()
        self.on_stored: Callable[[Stored], None] = lambda _: None
        self._clock = clock
        self._logs: defaultdict[TopicPartition, list[Stored]] = defaultdict(list)
        self._keyless = itertools.count()

    def append(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int, partition: int
    ) -> None:
        """Store a record where Java's partitioner would."""
        if partition < 0:
            partition = next(self._keyless) % self.partitions if key is None else home(key, self.partitions)
        log = self._logs[TopicPartition(topic, partition)]
        stored = Stored(
            topic=topic,
            partition=partition,
            offset=len(log),
            timestamp=timestamp_ms or int(self._clock.now().timestamp() * 1000),
            key=key,
            value=value,
            headers=tuple(headers),
        )
        log.append(stored)
        self.on_stored(stored)

    def of(self, topic: str) -> list[Stored]:
        """Return a topic's records, partition by partition."""
        return [stored for number in range(self.partitions) for stored in self._logs[TopicPartition(topic, number)]]

    def at(self, tp: TopicPartition, offset: int) -> Stored | None:
        """Return the record at `offset`, None at the end of the log."""
        log = self._logs[tp]
        return log[offset] if offset < len(log) else None


@dataclass(slots=True)
class MemoryProducer:
    """A producer of one process: what it has not stored yet dies with it."""

    logs: MemoryLogs
    queue: deque[tuple[str, bytes | None, bytes | None, Headers, int, int, OnDelivery]] = field(default_factory=deque)
    dead: bool = False

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        on_delivery: OnDelivery,
        headers: Headers,
        timestamp_ms: int = 0,
        partition: int = -1,
        awaited: bool = False,  # noqa: ARG002 - of no meaning here
    ) -> None:
        """Send one record; it is stored by a later move."""
        if not self.dead:
            self.queue.append((topic, key, value, headers, timestamp_ms, partition, on_delivery))

    @property
    def ready(self) -> bool:
        """True when the next output can be stored."""
        return bool(self.queue) and self.queue[0][0] not in self.logs.withheld

    def store_next(self) -> None:
        """Store and confirm the oldest output, or refuse it."""
        topic, key, value, headers, timestamp_ms, partition, on_delivery = self.queue.popleft()
        if self.logs.refused[topic] > 0:
            self.logs.refused[topic] -= 1
            on_delivery(f"{topic} takes no records", None)
        else:
            self.logs.append(topic, key, value, headers, timestamp_ms, partition)
            on_delivery(None, None)


@dataclass(frozen=True, slots=True)
class MemoryEffectLog:
    """The topic `effects` in lists, in chunks of `chunk` records."""

    logs: MemoryLogs
    topic: str
    chunk: int = 8

    async def newest(self, partition: int) -> AsyncGenerator[Sequence[tuple[bytes | None, bytes | None]], None]:
        """Yield the records of a partition in chunks, the newest chunk first, each in order of offset."""
        lines = [(stored.key, stored.value) for stored in self.logs.of(self.topic) if stored.partition == partition]
        while lines:
            yield lines[-self.chunk :]
            del lines[-self.chunk :]


@dataclass(frozen=True, slots=True)
class MemoryResultLog:
    """The topic `results` in lists."""

    logs: MemoryLogs
    topic: str

    async def since(self, number: int, at: datetime) -> AsyncGenerator[bytes, None]:
        """Yield the values of a partition from a moment on."""
        for stored in self.logs.of(self.topic):
            if stored.partition == number and stored.timestamp >= at.timestamp() * 1000 and stored.value is not None:
                yield stored.value
