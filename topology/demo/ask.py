"""Sending the demo's records the way any producer would."""

import time
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
        self._producer.produce(topic.name, value, key.encode(), on_delivery=self._on_delivery, headers=headers)

    async def confirmed(self) -> None:
        """Wait until the broker has confirmed everything sent so far.

        Raises:
            DeliveryFailed: it did not.
        """
        unconfirmed = await self._producer.close(self._timeout_s)
        if unconfirmed or self._lost:
            raise DeliveryFailed(f"the broker did not take {unconfirmed + len(self._lost)} records {self._lost[:1]}")

    def _on_delivery(self, error: object, _message: object) -> None:
        if error is not None:
            self._lost.append(str(error))
