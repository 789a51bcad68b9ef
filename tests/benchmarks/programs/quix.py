"""Peer: Quix Streams, in an environment of its own (tests/benchmarks/peers.lock)."""

from typing import Any

from quixstreams import Application

from tests.benchmarks.job import Job
from tests.benchmarks.programs.librdkafka import work_of


def main() -> None:
    """One streaming data frame for each pair of topics."""
    job = Job.from_argv()
    app: Any = Application(
        broker_address=job.bootstrap,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        commit_interval=0.5,
        auto_create_topics=False,
        loglevel="WARNING",
        producer_extra_config={
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": job.linger_ms,
            "partitioner": "murmur2_random",
        },
    )
    raw = {"value_serializer": "bytes", "value_deserializer": "bytes", "key_serializer": "bytes"}
    change = work_of(job)
    for read, written in job.pairs:
        frame = app.dataframe(app.topic(read, **raw))
        if change is not None:
            frame = frame.apply(change)
        frame.to_topic(app.topic(written, **raw))
    app.run()


if __name__ == "__main__":
    main()
