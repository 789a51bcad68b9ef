"""Results of the past, looked up on their topic: it keeps them for weeks, and few are ever asked for again.

A record has the timestamp of what it was made from, back to the question, so the result of a request lies near the moment the
question was asked, on the partition its key has on every topic.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Protocol

import aiokafka
from aiokafka.errors import KafkaError

from schemas.codec import RecordUndecodable, SchemaUnknown, Serde, origin_of
from schemas.records import Origin, Result
from streams.errors import HistoryUnavailable
from streams.partitions import partition
from streams.settings import KafkaSettings
from streams.topic import Topic, request_key
from streams.views import connection

EARLIER = timedelta(seconds=10)  # by which the clock of a producer may be ahead of that of its broker
FETCH_MAX_WAIT_MS = 20
POLL_MS = 500
LONGEST_S = 15.0
AT_ONCE = 4


class ResultLog(Protocol):
    """The topic `results`, read from a moment on."""

    def since(self, number: int, at: datetime) -> AsyncGenerator[bytes, None]:
        """Yield the values of a partition from a moment on, to the end it has now."""


class Past:
    """`PastResults` on a log."""

    def __init__(self, results: ResultLog, topic: Topic[Result], serde: Serde[Result]) -> None:
        self._log = results
        self._topic = topic
        self._serde = serde
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def find(self, origin: Origin) -> Result | None:
        """Return the result of a request; None when it is not there, or not there yet.

        Raises:
            HistoryUnavailable: the broker does not answer, or not in time.
        """
        number = partition(request_key(origin).encode(), self._topic.partitions)
        try:
            async with self._turns, asyncio.timeout(LONGEST_S), aclosing(self._since(number, origin)) as values:
                async for value in values:
                    found = origin_of(value)
                    if found is not None and found.request_id == origin.request_id:
                        return self._serde.decode(value)
        except (KafkaError, TimeoutError, SchemaUnknown, RecordUndecodable) as error:
            raise HistoryUnavailable(f"topic {self._topic.name} cannot be searched now: {error!r}") from error
        return None

    def _since(self, number: int, origin: Origin) -> AsyncGenerator[bytes, None]:
        return self._log.since(number, origin.event_time - EARLIER)


class KafkaResultLog:
    """A `ResultLog` on a broker."""

    def __init__(self, topic: str, kafka: KafkaSettings) -> None:
        self._topic = topic
        self._kafka = kafka

    async def since(self, number: int, at: datetime) -> AsyncGenerator[bytes, None]:
        """Yield the values of a partition from a moment on, to the end it has now. Raises KafkaError."""
        place = aiokafka.TopicPartition(self._topic, number)
        consumer = aiokafka.AIOKafkaConsumer(**connection(self._kafka), fetch_max_wait_ms=FETCH_MAX_WAIT_MS)
        try:
            await consumer.start()
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            start = (await consumer.offsets_for_times({place: max(0, int(at.timestamp() * 1000))}))[place]
            if start is None:
                return
            consumer.seek(place, start.offset)
            while await consumer.position(place) < end:
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        if record.value is not None:
                            yield record.value
        finally:
            await consumer.stop()
