"""Producing with librdkafka; delivery reports arrive on the event loop."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import confluent_kafka

from streams.settings import EngineSettings, KafkaSettings

OnDelivery = Callable[[object, object], None]
Headers = Sequence[tuple[str, bytes]]
# topic, value, key, partition, callback, on_delivery, timestamp, headers: librdkafka's own order. A named tuple of these costs a
# twentieth of the whole hop to make.
Outgoing = tuple[str, bytes | None, bytes | None, int, OnDelivery, OnDelivery, int, list[tuple[str, bytes]]]

log = logging.getLogger("forgestream.producer")

POLL_S = 0.005
AWAITED_POLL_S = 0.001  # while a handler waits for a delivery
ENVELOPE_BYTES = 64 * 1024  # key, headers and batch around the largest value a stage may send
MESSAGE_MAX_BYTES = 16 * 1024 * 1024 + ENVELOPE_BYTES


def stored_end(message: object) -> int:
    """Return the offset after a record whose delivery was confirmed; 0 when the report does not tell."""
    offset = message.offset() if isinstance(message, confluent_kafka.Message) else None
    return 0 if offset is None else max(offset, -1) + 1


class Producer(Protocol):
    """What the engine needs of a producer."""

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
        awaited: bool = False,
    ) -> None:
        """Send one record. `on_delivery(error, message)` is called on the loop, `error` None when the broker has confirmed it.

        It is called sooner when somebody waits for it (`awaited`).
        """


def connection(kafka: KafkaSettings) -> dict[str, str]:
    """Return librdkafka's settings for reaching the cluster."""
    wanted = {
        "bootstrap.servers": kafka.bootstrap,
        "security.protocol": kafka.security_protocol,
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password,
        "ssl.ca.location": kafka.tls_ca_file,
        "ssl.certificate.location": kafka.tls_cert_file,
        "ssl.key.location": kafka.tls_key_file,
    }
    return {name: value for name, value in wanted.items() if value}


def configuration(kafka: KafkaSettings, engine: EngineSettings) -> dict[str, Any]:
    """Return the producer's whole configuration."""
    return {
        **connection(kafka),
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",  # Java's; librdkafka's own default puts a key elsewhere
        "compression.type": engine.compression,
        "linger.ms": engine.linger_ms,
        "delivery.timeout.ms": int(engine.delivery_timeout_s * 1000),
        "queue.buffering.max.messages": 1_000_000,
        "message.max.bytes": MESSAGE_MAX_BYTES,
        "log_level": 3,
    }


class LibrdkafkaProducer:
    """Idempotent producer whose delivery reports are served while anything is outstanding, and only then."""

    def __init__(self, kafka: KafkaSettings, engine: EngineSettings) -> None:
        self._producer = confluent_kafka.Producer(configuration(kafka, engine), logger=log)
        self._waiting: deque[Outgoing] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awaited = 0

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
        awaited: bool = False,
    ) -> None:
        """Send one record; when the local queue is full it waits its turn, in order."""
        if awaited:
            on_delivery = self._hurried(on_delivery)
        outgoing = (topic, value, key, partition, on_delivery, on_delivery, timestamp_ms, list(headers))
        if self._waiting or not self._takes(outgoing):
            self._waiting.append(outgoing)
        if self._timer is None:
            self._arm()

    @property
    def _armed(self) -> bool:
        return self._timer is not None

    async def close(self, timeout_s: float) -> int:
        """Wait for outstanding deliveries; returns how many are still unconfirmed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (len(self._producer) or self._waiting) and loop.time() < deadline:
            self._tick(rearm=False)
            await asyncio.sleep(POLL_S)
        unconfirmed = len(self._producer) + len(self._waiting)
        if not unconfirmed:
            await asyncio.to_thread(self._producer.close)  # its threads would go on asking for the broker
        return unconfirmed

    def _takes(self, outgoing: Outgoing) -> bool:
        """Hand a record to librdkafka; False when its queue is full. A record it refuses has its report at once."""
        try:
            self._producer.produce(*outgoing)  # type: ignore[arg-type]  # its stub forbids what its C code takes
        except BufferError:
            return False
        except confluent_kafka.KafkaException as error:
            outgoing[5](error, None)
        return True

    def _hurried(self, on_delivery: OnDelivery) -> OnDelivery:
        """Look for reports more often until this one is there."""

        def delivered(error: object, message: object) -> None:
            self._awaited -= 1
            on_delivery(error, message)

        if not self._awaited and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._awaited += 1
        return delivered

    def _arm(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(AWAITED_POLL_S if self._awaited else POLL_S, self._tick)

    def _tick(self, *, rearm: bool = True) -> None:
        self._timer = None
        try:
            self._producer.poll(0)
            while self._waiting and self._takes(self._waiting[0]):
                self._waiting.popleft()
        finally:  # whatever a delivery report has raised: the others are still to come
            outstanding = self._waiting or len(self._producer)
            if rearm and outstanding and not self._armed:  # a delivery report may have produced, and armed, just now
                self._arm()
