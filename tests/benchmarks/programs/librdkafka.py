"""Peer: the shortest loop over librdkafka that commits only what was delivered. One record at a time, no framework."""

import io
import json
import signal
import time
from collections.abc import Callable
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer

from tests.benchmarks.job import Job, Work, pause_s

WIRE_HEADER_BYTES = 5
COMMIT_EVERY_S = 0.5


def recoder(schema: str) -> Callable[[bytes], bytes]:
    """Return a function that decodes a value in the Confluent wire format and encodes it again."""
    parsed: Any = fastavro.parse_schema(json.loads(schema))

    def recode(value: bytes) -> bytes:
        record = fastavro.schemaless_reader(io.BytesIO(value[WIRE_HEADER_BYTES:]), parsed, None)
        out = io.BytesIO()
        out.write(value[:WIRE_HEADER_BYTES])
        fastavro.schemaless_writer(out, parsed, record)
        return out.getvalue()

    return recode


def called(value: bytes) -> bytes:
    """Wait as long as the record says."""
    time.sleep(pause_s(value))
    return value


def work_of(job: Job) -> Callable[[bytes], bytes] | None:
    """Return what is done to a value; None when nothing is."""
    match job.work:
        case Work.RECODE:
            return recoder(job.schema)
        case Work.CALL:
            return called
        case Work.COPY:
            return None


def main() -> None:
    """Consume, produce, now and then flush and commit."""
    job = Job.from_argv()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    serial = job.work is Work.CALL
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": job.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": job.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": job.linger_ms,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    targets = dict(job.pairs)
    change = work_of(job)
    consumer.subscribe(list(targets))
    consumed, commit_at = 0, 0.0
    while not stopping:
        first = consumer.poll(0.02)
        batch = [] if first is None else [first] if serial else [first, *consumer.consume(5000, timeout=0)]
        for message in batch:
            value = message.value() or b""
            producer.produce(targets[message.topic() or ""], value if change is None else change(value), message.key())
        consumed += len(batch)
        producer.poll(0)
        if consumed and (stopping or time.monotonic() >= commit_at):
            producer.flush()
            consumer.commit(asynchronous=False)
            consumed, commit_at = 0, time.monotonic() + COMMIT_EVERY_S
    consumer.close()


if __name__ == "__main__":
    main()
