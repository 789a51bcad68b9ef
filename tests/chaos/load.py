"""Producers that never stop: entries at a steady rate, whatever becomes of the broker."""

import threading
import time
from collections.abc import Callable
from typing import Self

from confluent_kafka import Producer

from tests.chaos.generations import generations
from tests.chaos.ledger import Books

TICK_S = 0.02
PATIENCE_S = 300.0
KEYS = 40

Entry = Callable[[int], tuple[bytes, bytes]]


def even(books: Books) -> Entry:
    """Return entries whose keys take turns."""
    return lambda number: books.entry(f"key-{number % KEYS}", number)


def hot(books: Books) -> Entry:
    """Return entries of which nine in ten have the same key."""
    return lambda number: books.entry("hot" if number % 10 else f"key-{number % KEYS}", number)


def poisoned(books: Books) -> Entry:
    """Return entries of which every hundredth is none."""
    fine = even(books)
    return lambda number: (b"key-%d" % (number % KEYS), b"poison %d" % number) if number % 100 == 0 else fine(number)


def mixed(books: Books) -> Entry:
    """Return entries of programs that are older, as old, and newer than the workers."""
    ids = generations()
    return lambda number: books.entry_of(ids[number % len(ids)], f"key-{number % KEYS}", number)


class Load:
    """A thread that puts entries in; each is confirmed in the end, or `lost` tells."""

    def __init__(self, bootstrap: str, topic: str, entry: Entry, rate: int) -> None:
        self._topic = topic
        self._entry = entry
        self._rate = rate
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "delivery.timeout.ms": int(PATIENCE_S * 1000),
                "message.max.bytes": 17_000_000,
                "reconnect.backoff.max.ms": 500,
                "linger.ms": 5,
                "log_level": 0,
            }
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.put = 0
        self.lost = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Put nothing more in and wait until everything is stored."""
        self._ended.set()
        self._thread.join()
        self.lost += self._producer.flush(PATIENCE_S)

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._ended.wait(TICK_S):
            due = int((time.monotonic() - begun) * self._rate)
            while self.put < due:
                key, value = self._entry(self.put)
                self._producer.produce(self._topic, value, key, on_delivery=self._told)
                self.put += 1
            self._producer.poll(0)

    def _told(self, error: object, _message: object) -> None:
        self.lost += error is not None
