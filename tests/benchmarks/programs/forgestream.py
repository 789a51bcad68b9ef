"""Our engine: one stage for each pair of topics, `def` where nothing is waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from typing import TypeVar

from schemas.records import Result, TextQuery
from streams.app import App
from streams.emit import Emit
from streams.settings import EngineSettings, KafkaSettings, Settings
from streams.topic import Topic, request_key
from tests.benchmarks.job import Job, Work, pause_s
from tests.one_unit import GROUP_SUFFIX, run

R = TypeVar("R")


def topic(job: Job, name: str, record: type[R], key: Callable[[R], str]) -> Topic[R]:
    """Declare a topic of the run."""
    return Topic(
        name=name,
        record=record,
        key=key,
        key_name="key",
        owner="bench",
        partitions=job.partitions,
        doc="Of a benchmark",
    )


def copy(writes: Topic[R]) -> Callable[[R, Emit], None]:
    """Return a handler that sends what it is given."""
    return lambda record, emit: emit(writes, record)


def call(writes: Topic[bytes]) -> Callable[[bytes, Emit], Awaitable[None]]:
    """Return a handler that waits as long as the record says."""

    async def wait(record: bytes, emit: Emit) -> None:
        await asyncio.sleep(pause_s(record))
        emit(writes, record)

    return wait


def main() -> None:
    """Run the job."""
    job = Job.from_argv()
    settings = Settings(
        kafka=KafkaSettings(
            bootstrap=job.bootstrap, topic_prefix=job.group.removesuffix(GROUP_SUFFIX), partitions=job.partitions
        ),
        engine=EngineSettings(compression="none", linger_ms=job.linger_ms),
    )
    raw = partial(topic, job, record=bytes, key=lambda _: "")
    if job.work is Work.RECODE:
        queries = [topic(job, name, TextQuery, lambda query: request_key(query.origin)) for name in job.topics]
    else:
        values = [raw(name=name) for name in job.topics]

    def declare(app: App) -> None:
        match job.work:
            case Work.RECODE:
                for hop, (reads, writes) in enumerate(pairwise(queries)):
                    app.stage(reads, name=f"recode-{hop}")(copy(writes))
            case Work.COPY:
                app.stage(values[0], name="copy")(copy(values[1]))
            case Work.CALL:
                app.stage(values[0], name="call", in_flight=job.in_flight)(call(values[1]))

    run(
        settings,
        queries if job.work is Work.RECODE else values,
        dead_letters=raw(name=f"{job.group}-dead-letters"),
        results=topic(job, f"{job.group}-results", Result, lambda result: result.origin.request_id),
        declare=declare,
    )


if __name__ == "__main__":
    main()
