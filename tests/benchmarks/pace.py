"""Latency: records sent at a steady rate, each timed from the moment it was due to the moment its result is here."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.benchmarks.load import Record
from tests.cluster import Cluster

WARM_UP_S = 5  # before what counts: imports, connections, first rebalance, the broker's own compiler
LATEST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is sent where, and what is awaited."""

    reads: str
    writes: str
    partitions: int
    per_s: float
    records: int
    record: Callable[[int], Record]
    sequence_of: Callable[[bytes], int | None]  # None for a record that was not sent here

    @property
    def warm_up(self) -> int:
        """Records before those that count."""
        return int(self.per_s * WARM_UP_S)


class Unanswered(RuntimeError):
    """Results did not come."""


def latencies_ms(cluster: Cluster, course: Course, on_warm: Callable[[], None]) -> list[float]:
    """Return the latency of every record, in milliseconds; those of the warm-up, before `on_warm`, are left out.

    Raises:
        Unanswered: some result did not come in time.
    """
    total = course.warm_up + course.records
    here: dict[int, float] = {}
    warm, done = threading.Event(), threading.Event()
    reader = threading.Thread(target=_receive, args=(cluster, course, here, (warm, done)), daemon=True)
    reader.start()
    producer = Producer(
        {"bootstrap.servers": cluster.bootstrap, "acks": "all", "linger.ms": 0, "partitioner": "murmur2_random"}
    )
    due = _send(producer, course, range(course.warm_up))
    if not warm.wait(LATEST_S):
        raise Unanswered(f"{len(here)} of {course.warm_up} results of the warm-up")
    on_warm()
    due |= _send(producer, course, range(course.warm_up, total))
    if not done.wait(LATEST_S):
        raise Unanswered(f"{len(here)} of {total} results")
    reader.join()
    return [(here[sequence] - due[sequence]) * 1000 for sequence in range(course.warm_up, total)]


def _send(producer: Producer, course: Course, sequences: range) -> dict[int, float]:
    due: dict[int, float] = {}
    start = time.monotonic()
    for position, sequence in enumerate(sequences):
        key, value = course.record(sequence)
        due[sequence] = start + position / course.per_s
        time.sleep(max(0.0, due[sequence] - time.monotonic()))
        producer.produce(course.reads, value, key)
        producer.poll(0)
    producer.flush(LATEST_S)
    return due


def _receive(
    cluster: Cluster, course: Course, here: dict[int, float], signals: tuple[threading.Event, threading.Event]
) -> None:
    warm, done = signals
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "pace", "enable.auto.commit": False})
    consumer.assign([TopicPartition(course.writes, number, 0) for number in range(course.partitions)])
    deadline = time.monotonic() + 3 * LATEST_S + course.records / course.per_s
    while len(here) < course.warm_up + course.records and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None or message.error() is not None:
            continue
        sequence = course.sequence_of(message.value() or b"")
        if sequence is not None:
            here.setdefault(sequence, time.monotonic())
        if len(here) >= course.warm_up:
            warm.set()
    consumer.close()
    if len(here) == course.warm_up + course.records:
        done.set()
