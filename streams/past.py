"""Results of the past, looked up on their topic: it keeps them for weeks, and few are ever asked for again.

A record has the timestamp of what it was made from, back to the question, so the result of a request lies near the moment the
question was asked, on the partition its key has on every topic. An answer came before the deadline of its question, so
where only results of later questions follow there is nothing left to be found.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Protocol

import aiokafka
from aiokafka.errors import KafkaError

from schemas.codec import RecordUndecodable, Serde, origin_of
from schemas.records import Origin, Result
from streams.errors import AnswerUnknown, HistoryUnavailable
from streams.partitions import partition
from streams.settings import KafkaSettings
from streams.topic import Topic, request_key
from streams.views import connection

EARLIER = timedelta(seconds=10)  # by which the clock of a producer may be ahead of that of its broker
FETCH_MAX_WAIT_MS = 20
POLL_MS = 500
LONGEST_S = 15.0
LATER = 1000  # results of later questions in a row, so that one producer's clock that is ahead ends no search
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
AT_ONCE = 4


class ResultLog(Protocol):
    """The topic `results`, read from a moment on."""

    def since(self, number: int, at: datetime) -> AsyncGenerator[bytes, None]:
        """Yield the values of a partition from a moment on, to the end it has now."""


class Past:
    """`PastResults` on a log. A look-up takes `longest_s` at most."""

    def __init__(
        self, results: ResultLog, topic: Topic[Result], serde: Serde[Result], *, longest_s: float = LONGEST_S
    ) -> None:
        self._log = results
        self._topic = topic
        self._serde = serde
        self._longest_s = longest_s
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def find(self, origin: Origin) -> Result | None:
        """Return the result of a request; None when it is not there, or not there yet.

        Raises:
            HistoryUnavailable: the broker does not answer, or not in time.
            AnswerUnknown: it is not among all that could be read in time, or it cannot be read.
            SchemaUnknown: it was written with a schema that is not here yet.
        """
        looked_at = later = 0
        try:
            async with self._turns, asyncio.timeout(self._longest_s), aclosing(self._since(origin)) as values:
                async for value in values:
                    found = origin_of(value)
                    if found is not None and _same(found, origin):
                        return self._serde.decode(value)
                    looked_at += 1
                    later = later + 1 if found is not None and _is_later(found, origin) else 0
                    if later == LATER:
                        return None
        except RecordUndecodable as error:
            raise AnswerUnknown(f"the result of request {origin.request_id} cannot be read: {error}") from error
        except TimeoutError as error:
            if looked_at:
                raise AnswerUnknown(
                    f"the result of request {origin.request_id} is not among the {looked_at:,} that could be read "
                    f"in {self._longest_s:g} s from its time on"
                ) from error
            raise HistoryUnavailable(f"topic {self._topic.name} was not shown in {self._longest_s:g} s") from error
        except KafkaError as error:
            raise HistoryUnavailable(f"topic {self._topic.name} cannot be searched now: {error!r}") from error
        return None

    def _since(self, origin: Origin) -> AsyncGenerator[bytes, None]:
        number = partition(request_key(origin).encode(), self._topic.partitions)
        return self._log.since(number, max(origin.event_time, BEGINNING) - EARLIER)


def _same(found: Origin, origin: Origin) -> bool:
    return (found.tenant, found.request_id) == (origin.tenant, origin.request_id)


def _is_later(found: Origin, origin: Origin) -> bool:
    return found.event_time - origin.deadline > EARLIER


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
