"""Effects: what was done outside for a record, remembered so that it is not done twice when the record comes again.

A stage writes an effect to the partition of the log that has the number of the record's own partition. So whoever takes records of a
partition is the only writer of its effects: the first record waits until the newest effects have been read, to the end the log has at
that moment, and from then on memory and log are the same. A rebalance begins anew, since another worker may have written meanwhile.

What may come again is bounded by what an engine may have under way, so a bounded memory is enough: the newest effects, in encoded form.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

import aiokafka
from aiokafka.errors import KafkaError

from schemas.codec import RecordUndecodable, Serde
from schemas.records import Effect
from streams.engine import HELD_PER_IN_FLIGHT
from streams.scope import Scope, current
from streams.settings import EngineSettings, KafkaSettings
from streams.views import connection

if TYPE_CHECKING:
    from streams.lanes import Window

log = logging.getLogger("forgestream.effects")

CHUNK_RECORDS = 2048
POLL_MS = 500
FETCH_MAX_WAIT_MS = 20
PER_EFFECT = 2  # records: one before the call, one after it
AGAIN_S = 0.5
AT_ONCE = 4  # partitions read at the same time

Line = tuple[bytes | None, bytes | None]  # key and value


class EffectLog(Protocol):
    """The topic `effects`, read backwards."""

    def newest(self, partition: int) -> AsyncGenerator[Sequence[Line], None]:
        """Yield the records of a partition in chunks, the newest chunk first, each in order of offset."""


class Recall:
    """The newest effects of one stage on one partition, within their bounds."""

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0

    def __len__(self) -> int:
        """Count the effects."""
        return len(self._values)

    @property
    def full(self) -> bool:
        """True when nothing older has room."""
        return len(self._values) >= self._most or self._bytes >= self._most_bytes

    def get(self, effect_id: str) -> bytes | None:
        """Return an effect, encoded."""
        return self._values.get(effect_id)

    def keep(self, effect_id: str, value: bytes) -> None:
        """Take in the newest effect; the oldest are forgotten for it."""
        self._bytes += len(value) - len(self._values.pop(effect_id, b""))
        self._values[effect_id] = value
        while len(self._values) > self._most or (self._bytes > self._most_bytes and len(self._values) > 1):
            _, forgotten = self._values.popitem(last=False)
            self._bytes -= len(forgotten)

    def add_older(self, effect_id: str, value: bytes) -> None:
        """Take in an effect older than all that are there, unless a newer state of it is known or there is no room."""
        if effect_id not in self._values and not self.full:
            self._values[effect_id] = value
            self._values.move_to_end(effect_id, last=False)
            self._bytes += len(value)


class Effects:
    """An `EffectMemory` on a log. What was read stays as long as the tenure of the partition."""

    def __init__(self, effects: EffectLog, serde: Serde[Effect], engine: EngineSettings) -> None:
        self._log = effects
        self._serde = serde
        self._most = engine.in_flight * HELD_PER_IN_FLIGHT
        self._most_bytes = int(engine.effects_mb * 1024 * 1024)
        self._tenures: WeakKeyDictionary[Window, asyncio.Task[Recall]] = WeakKeyDictionary()
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def find(self, effect_id: str) -> Effect | None:
        """Return what is known of an effect; an effect that cannot be read is reported and unknown."""
        scope = present()
        reading = self._tenures.get(scope.slot.window)
        if reading is None or (reading.done() and reading.exception() is not None):
            reading = asyncio.create_task(self._read(scope.stage, scope.slot.received.partition))
            self._tenures[scope.slot.window] = reading
        value = (await asyncio.shield(reading)).get(effect_id)
        try:
            return None if value is None else self._serde.decode(value)
        except RecordUndecodable as error:
            log.error("effect %s cannot be read and is taken for unknown: %s", effect_id, error)  # noqa: TRY400 - no stack needed
            return None

    def keep(self, effect: Effect) -> None:
        """Remember an effect that has just been written to the log."""
        self._tenures[present().slot.window].result().keep(effect.effect_id, self._serde.encode(effect))

    async def _read(self, stage: str, partition: int) -> Recall:
        recall = Recall(most=self._most, most_bytes=self._most_bytes)
        async with self._turns, aclosing(self._log.newest(partition)) as chunks:
            async for chunk in chunks:
                for key, value in reversed(chunk):
                    effect_id = (key or b"").decode("utf-8", "replace")
                    if value is not None and effect_id.endswith(f"/{stage}"):
                        recall.add_older(effect_id, value)
                if recall.full:
                    break
        return recall


class KafkaEffectLog:
    """An `EffectLog` on a broker. It waits for a broker that does not answer: the record that asks has a deadline."""

    def __init__(self, topic: str, engine: EngineSettings, kafka: KafkaSettings) -> None:
        self._topic = topic
        self._most = engine.in_flight * HELD_PER_IN_FLIGHT * PER_EFFECT
        self._kafka = kafka

    async def newest(self, partition: int) -> AsyncGenerator[Sequence[Line], None]:
        """Yield the records of a partition in chunks, the newest chunk first, each in order of offset."""
        place = aiokafka.TopicPartition(self._topic, partition)
        while True:
            consumer = aiokafka.AIOKafkaConsumer(**connection(self._kafka), fetch_max_wait_ms=FETCH_MAX_WAIT_MS)
            try:
                await consumer.start()
                consumer.assign([place])
                first = (await consumer.beginning_offsets([place]))[place]
                end = (await consumer.end_offsets([place]))[place]
                lowest = max(first, end - self._most)
                while end > lowest:
                    start = max(lowest, end - CHUNK_RECORDS)
                    yield await _between(consumer, place, start, end)
                    end = start
            except KafkaError as error:
                log.warning("topic %s cannot be read now: %r", self._topic, error)
                await asyncio.sleep(AGAIN_S)
            else:
                return
            finally:
                await consumer.stop()


async def _between(
    consumer: aiokafka.AIOKafkaConsumer, place: aiokafka.TopicPartition, start: int, end: int
) -> Sequence[Line]:
    consumer.seek(place, start)
    found: list[Line] = []
    while await consumer.position(place) < end:
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            found += [(record.key, record.value) for record in records if record.offset < end]
    return found


def present() -> Scope:
    """Return the record in hand.

    Raises:
        RuntimeError: an effect was looked for outside of a stage.
    """
    scope = current.get()
    if scope is None:
        raise RuntimeError("effects are looked for by a stage while it handles a record")
    return scope
