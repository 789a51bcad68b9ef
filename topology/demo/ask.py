"""Sending the demo's records the way any producer would."""

import asyncio
import time
from contextlib import suppress
from typing import Any, Self, TypeVar

from schemas.registry import SchemaSource, serde
from streams.errors import DeliveryFailed
from streams.outbox import SENT_AT_HEADER
from streams.producer import LibrdkafkaProducer
from streams.settings import Settings
from streams.topic import Topic

R = TypeVar("R")


class Sender:
    """One producer for the whole run, so that the first question does not pay for its connection."""

    def __init__(self, settings: Settings, schemas: SchemaSource) -> None:
        self._producer = LibrdkafkaProducer(settings.kafka, settings.engine)
        self._timeout_s = settings.engine.delivery_timeout_s
        self._schemas = schemas
        self._lost: list[str] = []
        self._unconfirmed = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> Self:
        """Begin to send."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the producer back."""
        await self._producer.close(0)

    def send(self, topic: Topic[R], record: R) -> None:
        """Send a record under its topic's key."""
        value = serde(self._schemas, topic.name, topic.record).encode(record)
        self.send_bytes(topic, topic.key(record), value)

    def send_bytes(self, topic: Topic[Any], key: str, value: bytes) -> None:
        """Send bytes that need be no record of the topic."""
        stamp = b"%.3f" % (time.time() * 1000.0)
        headers = [(SENT_AT_HEADER, stamp)]
        self._unconfirmed += 1
        self._idle.clear()
        self._producer.produce(topic.name, value, key.encode(), on_delivery=self._on_delivery, headers=headers)

    async def confirmed(self) -> None:
        """Wait until the broker has confirmed everything sent so far.

        Raises:
            DeliveryFailed: it did not.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                await self._idle.wait()
        if self._unconfirmed or self._lost:
            raise DeliveryFailed(
                f"the broker did not take {self._unconfirmed + len(self._lost)} records {self._lost[:1]}"
            )

    def _on_delivery(self, error: object, _message: object) -> None:
        self._unconfirmed -= 1
        if not self._unconfirmed:
            self._idle.set()
        if error is not None:
            self._lost.append(str(error))
