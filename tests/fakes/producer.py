"""A producer that keeps what it is given and confirms it when it is told to."""

import asyncio
from collections import deque
from dataclasses import dataclass

from confluent_kafka import Message

from streams.producer import Headers, OnDelivery


@dataclass(frozen=True, slots=True)
class Sent:
    """One record as it would be on the topic."""

    topic: str
    value: bytes | None
    key: bytes | None
    headers: Headers
    timestamp_ms: int
    partition: int

    def header(self, name: str) -> str | None:
        """Return the text of the first header of that name."""
        for key, value in self.headers:
            if key == name:
                return value.decode()
        return None


class MemoryProducer:
    """Fake of `streams.producer.Producer`. Without `confirms` every delivery waits for `confirm` or `lose`."""

    def __init__(self, *, confirms: bool = True) -> None:
        self.confirms = confirms
        self.sent: list[Sent] = []
        self._reports: deque[tuple[OnDelivery, Message]] = deque()

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
        offset = sum(sent.topic == topic and sent.partition == partition for sent in self.sent)
        self.sent.append(Sent(topic, value, key, headers, timestamp_ms, partition))
        self._reports.append((on_delivery, Message(topic=topic, partition=partition, offset=offset)))
        if self.confirms:
            asyncio.get_running_loop().call_soon(self.confirm)

    def confirm(self) -> None:
        """Tell every waiting record that the broker has it."""
        while self._reports:
            on_delivery, message = self._reports.popleft()
            on_delivery(None, message)

    def lose(self, error: str) -> None:
        """Tell the oldest waiting record that the broker will never have it."""
        on_delivery, message = self._reports.popleft()
        on_delivery(error, message)

    def to(self, topic: str) -> list[Sent]:
        """Return what was sent to a topic, in order."""
        return [sent for sent in self.sent if sent.topic == topic]
