"""Requests into the namespace of a variant, and what comes out of it."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from schemas.records import Outcome, ReplayedRequest, Result
from schemas.registry import SchemaSource, serde
from streams.errors import DeliveryFailed, WorkerStalled
from streams.producer import Producer
from streams.settings import KafkaSettings
from streams.topic import Topic, request_key
from topology.cluster import Cluster, ExistingTopic
from topology.reading import Decoder, Read, reader_at
from topology.replay.history import Historical
from topology.replay.order import Variant, cell_of, query_of
from topology.topics import Topics
from topology.worker import Worker

TAIL_WAIT_S = 0.005
POLL_S = 0.002
STUCK_S = 300.0  # longer than any deadline a model is waited for, unless a producer set a longer one


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The topics of one variant, and who works on them."""

    kafka: KafkaSettings
    topics: Topics
    schemas: SchemaSource
    producer: Producer
    worker: Worker


Conversation = deque[Historical]
"""What is left to be asked of a conversation."""


class Flow:
    """Feeds requests and collects their results, at most `in_flight` under way, and of a conversation one.

    Args:
        namespace: where they run.
        in_flight: how many at most.
        ended: is told each result, once and before the conversation goes on.
    """

    def __init__(self, namespace: Namespace, *, in_flight: int, ended: Callable[[Result], None]) -> None:
        self._space = namespace
        self._in_flight = in_flight
        self._ended = ended
        self._ready: deque[Conversation] = deque()
        self._waiting: dict[str, Conversation] = {}
        self._results: dict[str, Result] = {}
        self._outcomes: defaultdict[str, list[Outcome]] = defaultdict(list)
        self._places: dict[tuple[str, int], int] = {}
        self._moved = asyncio.Event()
        self._refused: str | None = None
        followed = (namespace.topics.results, namespace.topics.outcomes)
        places = {(topic.name, number): 0 for topic in followed for number in range(topic.partitions)}
        self._reader = reader_at(places, namespace.kafka, follow=True, wait_s=TAIL_WAIT_S)
        self._cluster = Cluster(namespace.kafka)

    async def window(
        self, requests: Sequence[Historical], entry: Topic[Any], variant: Variant, replay_id: str
    ) -> Sequence[ReplayedRequest]:
        """Run some requests to their end; returns what became of them, in order.

        Raises:
            DeliveryFailed: the broker did not take one.
            WorkerStalled: one has no result, and nothing has happened for five minutes.
        """
        codec = serde(self._space.schemas, entry.name, entry.record)
        self._ready.extend(in_conversations(requests))
        while self._ready or self._waiting:
            while self._ready and len(self._waiting) < self._in_flight:
                conversation = self._ready.popleft()
                request = conversation.popleft()
                self._waiting[request.record.origin.request_id] = conversation
                self._space.producer.produce(
                    entry.name,
                    codec.encode(variant.asked(request.record, replay_id)),
                    request.key,
                    on_delivery=self._fed,
                    headers=(),
                    timestamp_ms=int(request.at.timestamp() * 1000),
                )
            await self._movement()
        await self._quiet()
        done = [self._done(request) for request in requests]
        self._results.clear()
        self._outcomes.clear()
        return done

    async def tail(self) -> None:
        """Take in results and outcomes until `stop`."""
        topics = self._space.topics
        decoder = Decoder(self._space.schemas, [topics.results, topics.outcomes])
        async with aclosing(self._reader.records()) as records:
            async for found in records:
                self._take(found, await decoder.record(found))

    def stop(self) -> None:
        """End the tail."""
        self._reader.stop()

    def _take(self, found: Read, record: Result | Outcome) -> None:
        self._places[found.topic, found.partition] = found.offset + 1
        if isinstance(record, Outcome):
            self._outcomes[record.request_id or ""].append(record)
        elif record.origin.request_id in self._waiting:  # a result comes twice when its worker was interrupted
            conversation = self._waiting.pop(record.origin.request_id)
            self._results[record.origin.request_id] = record
            self._ended(record)
            if conversation:
                self._ready.append(conversation)
        self._moved.set()

    def _done(self, request: Historical) -> ReplayedRequest:
        request_id = request.record.origin.request_id
        outcomes = sorted(self._outcomes.get(request_id, ()), key=lambda one: (one.at, one.dependency))
        return ReplayedRequest(
            position=request.position,
            at=request.at,
            cell=cell_of(request.record)[:64],
            query=query_of(request.record),
            result=self._results[request_id],
            outcomes=tuple(outcomes),
        )

    async def _quiet(self) -> None:
        """Wait until every output is confirmed and every outcome has come in."""
        while any(app.engine.held() for app in self._space.worker.apps.values()):  # noqa: ASYNC110 - engines announce it to nobody
            await asyncio.sleep(POLL_S)
        topic = self._space.topics.outcomes
        there = ExistingTopic(name=topic.name, partitions=topic.partitions, ready=True)
        ends = {place: end for place, (_, end) in (await self._cluster.offsets([there])).items()}
        while any(self._places.get(place, 0) < end for place, end in ends.items()):
            await self._movement()

    async def _movement(self) -> None:
        self._moved.clear()
        try:
            async with asyncio.timeout(STUCK_S):
                await self._moved.wait()
        except TimeoutError as error:
            left = ", ".join(sorted(self._waiting)[:3])
            raise WorkerStalled(
                f"nothing has happened for {STUCK_S:.0f} s and {len(self._waiting)} requests have no result ({left} ...); "
                "run the same command again to go on"
            ) from error
        if self._refused is not None:
            raise DeliveryFailed(f"the broker did not take a request of the replay: {self._refused}")

    def _fed(self, error: object, _message: object) -> None:
        if error is not None:
            self._refused = str(error)
            self._moved.set()


def in_conversations(requests: Iterable[Historical]) -> Sequence[Conversation]:
    """Return requests by conversation, each in its order; one that belongs to none is a conversation of its own."""
    found: defaultdict[str, Conversation] = defaultdict(deque)
    for request in requests:
        found[request_key(request.record.origin)].append(request)
    return list(found.values())
