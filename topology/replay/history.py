"""The requests of a range of time, read from their topic in one order that is the same every time."""

import asyncio
import heapq
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.codec import RecordUndecodable
from schemas.registry import SchemaSource
from streams.errors import StartRefused
from streams.settings import KafkaSettings
from streams.topic import Topic
from topology.cluster import Cluster
from topology.reading import Decoder, Read, reader_at
from topology.replay.order import Order

REMEMBERED = 100_000  # request ids by which repeats are known again
REASONS = 5  # different reasons why records cannot be read that are told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Historical:
    """A request of the range. `position` counts those taken, in the order of time."""

    position: int
    at: datetime
    key: bytes
    record: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a range holds. `spans` are the first and the last offset of each partition that has any of it."""

    spans: Mapping[int, tuple[int, int]]
    found: int
    taken: int
    repeated: int
    unreadable: Mapping[str, int]
    first_at: datetime | None
    last_at: datetime | None
    kept_from: datetime | None  # when records from before are no longer there

    def notes(self, order: Order) -> tuple[str, ...]:
        """Return what a reader of the report must know about the range."""
        said = []
        if self.kept_from is not None and self.kept_from > order.start:
            said.append(
                f"the range is partial: records before {_shown(self.kept_from)} are past the retention of {order.topic}"
            )
        if self.repeated:
            said.append(f"{self.repeated:,} records repeat the id of an earlier request and are left out")
        said += [f"{count:,} records cannot be read and are left out: {why}" for why, count in self.unreadable.items()]
        return tuple(said)


class History:
    """Reads the range of an order.

    Args:
        order: what is to be read.
        topic: the topic of the live deployment.
        schemas: knows the ids of its records.
        kafka: the cluster, with the prefix of the live deployment.
    """

    def __init__(self, order: Order, topic: Topic[Any], schemas: SchemaSource, kafka: KafkaSettings) -> None:
        self._order = order
        self._topic = topic
        self._decoder = Decoder(schemas, [topic])
        self._kafka = kafka

    async def survey(self) -> Survey:
        """Look through the range once.

        Raises:
            StartRefused: the topic does not exist, or has nothing in the range; the message says what it has.
        """
        first, start, kept_from = await self._bounds()
        tally = _Tally()
        async with aclosing(self._requests(start, None, tally)) as requests:
            async for _ in requests:
                pass
        if not tally.taken:
            raise StartRefused(await self._nothing(tally, first))
        return Survey(
            spans=dict(tally.spans),
            found=tally.found,
            taken=tally.taken,
            repeated=tally.repeated,
            unreadable=dict(tally.unreadable),
            first_at=tally.first_at,
            last_at=tally.last_at,
            kept_from=kept_from,
        )

    async def requests(self, survey: Survey) -> AsyncGenerator[Historical, None]:
        """Yield the requests that the survey has counted, again and in the same order."""
        starts = {partition: first for partition, (first, _) in survey.spans.items()}
        ends = {partition: last for partition, (_, last) in survey.spans.items()}
        async with aclosing(self._requests(starts, ends, _Tally())) as requests:
            async for request in requests:
                yield request

    async def _bounds(self) -> tuple[Mapping[int, int], Mapping[int, int], datetime | None]:
        """Return the first offsets there are, those from which the range is read, and when the topic begins if it was cut."""
        cluster = Cluster(self._kafka)
        existing = (await cluster.topics()).get(self._topic.name)
        if existing is None:
            raise StartRefused(
                f"there is no topic {self._topic.name} on {self._kafka.bootstrap}; `forgestream topics` lists them"
            )
        offsets = await cluster.offsets([existing])
        at_start = await cluster.offsets_at([existing], self._order.start)
        first = {partition: low for (_, partition), (low, _) in offsets.items()}
        start = {partition: at for (_, partition), at in at_start.items() if at is not None}
        cut = {partition: low for partition, low in first.items() if low > 0 and start.get(partition) == low}
        return first, start, await self._earliest(cut)

    async def _earliest(self, starts: Mapping[int, int]) -> datetime | None:
        """Return when the last of some partitions begins."""
        moments = []
        for partition, offset in starts.items():
            async with aclosing(self._partition(partition, offset, None)) as records:
                moments += [found.at async for found in _first(records)]
        return max(moments, default=None)

    async def _nothing(self, tally: "_Tally", first: Mapping[int, int]) -> str:
        order = self._order
        asked = f"topic {self._topic.name} has no request from {_shown(order.start)} to {_shown(order.end)}"
        if tally.found and not tally.unreadable:
            return f"{asked} in a sample of {order.sample:.2%}: {tally.found:,} are there; take a larger --sample"
        if tally.unreadable:
            reasons = "; ".join(f"{count:,}: {why}" for why, count in tally.unreadable.items())
            return f"{asked} that can be read ({reasons})"
        begins = await self._earliest(first)
        has = f"; its oldest records are of {_shown(begins)}" if begins else "; it is empty"
        return f"{asked}{has}. Times without an offset are UTC"

    async def _requests(
        self, starts: Mapping[int, int], ends: Mapping[int, int] | None, tally: "_Tally"
    ) -> AsyncGenerator[Historical, None]:
        async with AsyncExitStack() as owned:
            partitions = [
                await owned.enter_async_context(aclosing(self._partition(p, at, (ends or {}).get(p))))
                for p, at in starts.items()
            ]
            async for found in merged(partitions):
                if (request := await self._taken(found, tally)) is not None:
                    yield request

    async def _taken(self, found: Read, tally: "_Tally") -> Historical | None:
        """Count a record; returns it as a request when it is to be replayed."""
        if not self._order.start <= found.at < self._order.end:
            return None
        tally.see(found)
        try:
            record = await self._decoder.record(found)
        except RecordUndecodable as error:
            tally.cannot_read(str(error))
            return None
        if record is None:
            tally.cannot_read("a null value has no meaning on this topic")
            return None
        key = self._topic.key(record)
        if not self._order.takes(key) or tally.repeats(record.origin.request_id):
            return None
        tally.taken += 1
        return Historical(position=tally.taken - 1, at=found.at, key=found.key or key.encode(), record=record)

    async def _partition(self, partition: int, start: int, last: int | None) -> AsyncGenerator[Read, None]:
        reader = reader_at({(self._topic.name, partition): start}, self._kafka, follow=False)
        async with aclosing(reader.records()) as records:
            async for found in records:
                yield found
                if last is not None and found.offset >= last:
                    return


class _Tally:
    """What has been counted so far."""

    def __init__(self) -> None:
        self.spans: dict[int, tuple[int, int]] = {}
        self.found = 0
        self.taken = 0
        self.repeated = 0
        self.unreadable: Counter[str] = Counter()
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self._seen: OrderedDict[str, None] = OrderedDict()

    def see(self, found: Read) -> None:
        """Count a record of the range."""
        self.found += 1
        self.spans[found.partition] = (self.spans.get(found.partition, (found.offset, 0))[0], found.offset)
        self.first_at = min(self.first_at or found.at, found.at)
        self.last_at = max(self.last_at or found.at, found.at)

    def cannot_read(self, why: str) -> None:
        """Count a record that is none; beyond some reasons they are not told apart."""
        self.unreadable[why if why in self.unreadable or len(self.unreadable) < REASONS else "other reasons"] += 1

    def repeats(self, request_id: str) -> bool:
        """Whether the request was there before; repeats are known among the last 100,000."""
        if request_id in self._seen:
            self.repeated += 1
            return True
        self._seen[request_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False


async def merged(partitions: "list[AsyncGenerator[Read, None]]") -> AsyncIterator[Read]:
    """Yield the records of several partitions by time, each partition in its own order; holds one record of each."""
    heads: list[tuple[datetime, int, int, Read]] = []
    latest = [datetime.min.replace(tzinfo=UTC)] * len(partitions)

    async def advance(number: int) -> None:
        found = await anext(partitions[number], None)
        if found is not None:
            latest[number] = max(
                latest[number], found.at
            )  # a clock that was set back does not change the order of a key
            heapq.heappush(heads, (latest[number], number, found.offset, found))

    await asyncio.gather(*(advance(number) for number in range(len(partitions))))
    while heads:
        _, number, _, found = heapq.heappop(heads)
        yield found
        await advance(number)


async def _first(records: AsyncGenerator[Read, None]) -> AsyncIterator[Read]:
    async for found in records:
        yield found
        return


def _shown(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
