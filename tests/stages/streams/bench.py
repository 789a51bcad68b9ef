"""An engine with a memory producer, the real schemas, and topics of a few real records."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from schemas.records import (
    CircuitState,
    KnowledgeDocument,
    Origin,
    Request,
    Result,
    TextQuery,
)
from schemas.registry import LockedIds
from streams.engine import Engine, Runtime
from streams.guard import Input, Stage
from streams.lanes import TopicPartition
from streams.settings import EngineSettings, Settings
from streams.topic import Topic, request_key
from streams.tracing import Tracing
from tests.clock import FixedClock
from tests.fakes.producer import MemoryProducer
from tests.fakes.received import FakeReceived
from tests.given import NOON


def a_topic(name: str, record: type[Any], key: Callable[[Any], str], *, ends_request: bool = False) -> Topic[Any]:
    return Topic(
        name=name, record=record, key=key, key_name="", owner="", partitions=1, doc="", ends_request=ends_request
    )


def by_request(record: Any) -> str:  # noqa: ANN401 - any record with an origin
    return request_key(record.origin)


TEXTS: Topic[TextQuery] = a_topic("texts", TextQuery, by_request, ends_request=True)
REQUESTS: Topic[Request] = a_topic("requests", Request, by_request)
RESULTS: Topic[Result] = a_topic("results", Result, by_request)
KNOWLEDGE: Topic[KnowledgeDocument] = a_topic("knowledge", KnowledgeDocument, lambda record: record.document_id)
CIRCUITS: Topic[CircuitState] = a_topic("circuits", CircuitState, lambda record: record.dependency)
DEAD_LETTERS: Topic[bytes] = a_topic("dead-letters", bytes, lambda _: "")
TOPICS = (TEXTS, REQUESTS, RESULTS, KNOWLEDGE, CIRCUITS, DEAD_LETTERS)
TP = TopicPartition("texts", 0)

Handler = Callable[[Any, Any], Awaitable[None] | None]


class CountingIds(LockedIds):
    """The published ids, some of which are only had by fetching."""

    def __init__(self) -> None:
        super().__init__()
        self.remote: dict[int, Any] = {}
        self.fetched: list[int] = []

    def forget(self, schema_id: int) -> None:
        """Leave an id out of memory until it is fetched."""
        self._known = dict(self._known)
        self.remote[schema_id] = self._known.pop(schema_id)

    async def fetch(self, schema_id: int) -> None:
        self.fetched.append(schema_id)
        await asyncio.sleep(0)
        if schema_id in self.remote:
            self._known = {**self._known, schema_id: self.remote[schema_id]}
        await super().fetch(schema_id)


class Bench:
    """One engine under test; pauses between tries are noted and take no time."""

    def __init__(self, *, producer: MemoryProducer, ids: CountingIds, **engine: Any) -> None:  # noqa: ANN401 - settings
        self.producer = producer
        self.clock = FixedClock()
        self.ids = ids
        self.fatal: list[BaseException] = []
        self.pauses: list[float] = []
        self.flow: list[tuple[str, TopicPartition]] = []
        runtime = Runtime(
            settings=replace(Settings(), engine=EngineSettings(**engine)),
            schemas=ids,
            producer=producer,
            clock=self.clock,
            dead_letters=DEAD_LETTERS,
            results=RESULTS,
            tracing=Tracing(),
            chance=lambda: 1.0,
        )
        self.engine = Engine("group", runtime, on_fatal=self.fatal.append)
        self.engine.sleep = self._sleep
        self.engine.flow = self

    def stage(
        self,
        handler: Handler,
        reads: Topic[Any] = TEXTS,
        *,
        waits: bool | None = None,
        in_flight: int = 8,
        patience_s: float = 0.0,
        tombstone: Callable[[str, Any], Awaitable[None] | None] | None = None,
    ) -> None:
        """Declare the stage under test."""
        has_origin = "origin" in getattr(reads.record, "__dataclass_fields__", {})
        self.engine.add(
            Stage(
                name="stage",
                inputs={reads.name: Input(topic=reads, serde=self.engine.serde(reads), has_origin=has_origin)},
                handler=handler,
                tombstone=tombstone,
                waits=asyncio.iscoroutinefunction(handler) if waits is None else waits,
                patience_s=patience_s,
                in_flight=in_flight,
            )
        )

    def encoded(self, topic: Topic[Any], record: object) -> bytes:
        return self.engine.serde(topic).encode(record)

    def text(self, offset: int = 0, query: str = "why?", *, key: bytes | None = None, **origin: Any) -> FakeReceived:  # noqa: ANN401 - fields
        """Return a question as it comes from the topic `texts`."""
        asked = an_origin(offset, **origin)
        value = self.encoded(TEXTS, TextQuery(origin=asked, query=query))
        return FakeReceived(offset, value, request_key(asked).encode() if key is None else key)

    async def put(self, *received: FakeReceived, until_idle: bool = True) -> None:
        """Give the engine records and let everything happen that can."""
        self.engine.take(TopicPartition(received[0].topic, received[0].partition), received)
        if until_idle:
            await self.idle()

    async def idle(self) -> None:
        """Let every ready task and callback run."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the loop run until something is true, five seconds at most."""
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - what is waited for is not always an event
                await asyncio.sleep(0)

    def sent(self, topic: Topic[Any]) -> list[Any]:
        """Return the records sent to a topic."""
        return [self.engine.serde(topic).decode(sent.value or b"") for sent in self.producer.to(topic.name)]

    def watermark(self, tp: TopicPartition = TP) -> int | None:
        return self.engine.watermarks().get(tp)

    def pause(self, tp: TopicPartition) -> None:
        self.flow.append(("pause", tp))

    def resume(self, tp: TopicPartition) -> None:
        self.flow.append(("resume", tp))

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)
        await asyncio.sleep(0)


def an_origin(
    number: int = 0, *, request_id: str | None = None, session_id: str | None = None, seconds: float = 60
) -> Origin:
    return Origin(
        request_id=request_id or f"00000000-0000-7000-8000-{number:012d}",
        correlation_id="c",
        session_id=session_id,
        event_time=NOON,
        deadline=NOON + timedelta(seconds=seconds),
    )


async def a_bench(*, confirms: bool = True, producer: MemoryProducer | None = None, **engine: Any) -> Bench:  # noqa: ANN401 - settings of the engine
    """Return a bench whose schemas are loaded."""
    ids = CountingIds()
    await ids.start({f"{topic.name}-value": topic.record for topic in TOPICS})
    return Bench(producer=producer or MemoryProducer(confirms=confirms), ids=ids, **engine)


def payloads(sent: Sequence[Any]) -> list[str]:
    """Return the queries of requests."""
    return [record.query for record in sent]
