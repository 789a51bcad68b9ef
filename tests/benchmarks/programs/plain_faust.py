"""Peer: agents as Faust's manual writes them, with Faust's own producer; uvloop, as fast as it goes."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from mode.loop import use

use("uvloop")

import faust  # noqa: E402 - Faust picks its loop when it is imported
from faust.types import StreamT, TopicT  # noqa: E402 - as above
from faust.types.agents import AgentFun  # noqa: E402 - as above

from tests.benchmarks.job import Job, Work, pause_s  # noqa: E402 - as above
from tests.benchmarks.programs.librdkafka import recoder  # noqa: E402 - as above


def work_of(job: Job) -> Callable[[bytes], Awaitable[bytes]]:
    """Return what is done to a value."""
    recode = recoder(job.schema) if job.work is Work.RECODE else None

    async def change(value: bytes) -> bytes:
        if job.work is Work.CALL:
            await asyncio.sleep(pause_s(value))
        return recode(value) if recode is not None else value

    return change


def build(job: Job) -> faust.App:
    """Make the app: one agent for each pair of topics, `concurrency` where calls are waited for."""
    app = faust.App(
        job.group,
        broker=f"kafka://{job.bootstrap}",
        store="memory://",
        datadir=Path(tempfile.gettempdir(), job.group),  # Faust makes directories even for tables in memory
        web_enabled=False,
        topic_partitions=job.partitions,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.5,
        value_serializer="raw",
    )
    change = work_of(job)
    for number, (read, written) in enumerate(job.pairs):
        source = app.topic(read, key_type=bytes, value_type=bytes)
        target = app.topic(written, key_type=bytes, value_type=bytes)

        app.agent(source, name=f"copy-{number}", concurrency=job.in_flight)(copying(target, change))
    return app


def copying(target: TopicT, change: Callable[[bytes], Awaitable[bytes]]) -> AgentFun[bytes]:
    """Return the body of an agent that sends what it reads to `target`."""

    async def copy(stream: StreamT[bytes]) -> None:
        async for key, value in stream.items():
            await target.send(key=key, value=await change(value))

    return copy


def main() -> None:
    """Run a Faust worker."""
    faust.Worker(build(Job.from_argv()), loglevel="warn").execute_from_commandline()


if __name__ == "__main__":
    main()
