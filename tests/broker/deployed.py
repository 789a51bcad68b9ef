"""All units in this process on a real broker, watched as the in-memory pipeline is."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.registry import SchemaSource, serde
from streams import lanes
from streams.producer import Headers
from streams.settings import Settings
from streams.topic import Topic
from topology.contract import open_schemas
from topology.memory import rows
from topology.memory_logs import Stored
from topology.outside import Outside
from topology.topics import Topics
from topology.units import Unit
from topology.worker import Worker, working

R = TypeVar("R")
TIMEOUT_S = 20.0
POLL_S = 0.01


class KafkaPipeline:
    """A worker with all units; `settle` waits until every stage has done all there is."""

    def __init__(self, settings: Settings, schemas: SchemaSource, worker: Worker) -> None:
        self.topics = Topics.of(settings.kafka)
        self._schemas = schemas
        self._worker = worker
        self._partitions = range(settings.kafka.partitions)
        self._cluster: dict[str, Any] = {"bootstrap.servers": settings.kafka.bootstrap}
        self._admin = AdminClient(self._cluster)
        self._producer = Producer(self._cluster | {"partitioner": "murmur2_random", "linger.ms": 0})

    @property
    def dead_letters(self) -> Sequence[Stored]:
        """What failed."""
        return self.stored(self.topics.dead_letters)

    async def put(self, topic: Topic[R], record: R) -> None:
        """Send a record."""
        value = serde(self._schemas, topic.name, topic.record).encode(record)
        await self.put_bytes(topic, value, key=topic.key(record).encode())

    async def put_bytes(
        self, topic: Topic[Any], value: bytes | None, *, key: bytes | None = None, headers: Headers = ()
    ) -> None:
        """Send any bytes."""
        self._producer.produce(topic.name, value, key, headers=list(headers))
        assert self._producer.flush(TIMEOUT_S) == 0

    async def settle(self) -> int:
        """Wait until everything is acknowledged, and so everything it led to; returns the records there are."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                assert self._worker.ailments() == []
                done = [(app.engine.stages, app.engine.watermarks()) for app in self._worker.apps.values()]
                ends = await asyncio.to_thread(self._ends, {topic for stages, _ in done for topic in stages})
                if all(
                    marks.get(tp, 0) == end for stages, marks in done for tp, end in ends.items() if tp.topic in stages
                ):
                    return sum(ends.values())
                await asyncio.sleep(POLL_S)

    def records(self, topic: Topic[R]) -> list[R]:
        """Return what a topic holds, partition by partition."""
        codec = serde(self._schemas, topic.name, topic.record)
        return [codec.decode(stored.value) for stored in self.stored(topic) if stored.value is not None]

    def stored(self, topic: Topic[Any]) -> Sequence[Stored]:
        """Return what a topic holds, undecoded."""
        left = sum(self._ends({topic.name}).values())
        consumer = Consumer(self._cluster | {"group.id": "reader", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic.name, number, 0) for number in self._partitions])
        found: list[Stored] = []
        try:
            while left > len(found):
                messages = consumer.consume(left - len(found), timeout=TIMEOUT_S)
                assert messages
                found += [_stored(message) for message in messages]
        finally:
            consumer.close()
        return sorted(found, key=lambda stored: (stored.partition, stored.offset))

    def table(self, name: str) -> Mapping[str, Any]:
        """Return the rows of a table as its owner holds them."""
        return next(rows(app, name) for app in self._worker.apps.values() if name in app.owned_tables)

    def _ends(self, topics: set[str]) -> dict[lanes.TopicPartition, int]:
        spec = {TopicPartition(name, number): OffsetSpec.latest() for name in topics for number in self._partitions}
        found = self._admin.list_offsets(spec)
        return {
            lanes.TopicPartition(tp.topic, tp.partition): future.result(TIMEOUT_S).offset
            for tp, future in found.items()
        }


@asynccontextmanager
async def deployed(settings: Settings, outside: Outside, directory: Path) -> AsyncIterator[KafkaPipeline]:
    """Run all units on `settings.kafka` while the block runs."""
    uses = {declared.name for declared in fields(Outside)}
    schemas = await open_schemas(settings.registry, Topics.of(settings.kafka))
    async with working(settings, list(Unit), outside, uses=uses, data_dir=directory, tell=lambda _: None) as worker:
        yield KafkaPipeline(settings, schemas, worker)


def on_broker(settings: Settings, bootstrap: str, prefix: str) -> Settings:
    """Return the settings with a broker, and a namespace on it."""
    return replace(settings, kafka=replace(settings.kafka, bootstrap=bootstrap, topic_prefix=prefix))


def _stored(message: Any) -> Stored:  # noqa: ANN401 - librdkafka's message
    assert message.error() is None
    return Stored(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=message.headers() or (),
    )
