"""One unit of our engine as a program of its own: what the worker does, with a test's or a benchmark's stages."""

import asyncio
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from schemas.records import Result
from schemas.registry import LockedIds
from streams.app import App
from streams.clock import SystemClock
from streams.engine import Runtime
from streams.errors import PipelineError, StartRefused
from streams.ports import Clock
from streams.producer import LibrdkafkaProducer
from streams.settings import Settings
from streams.topic import Topic
from streams.tracing import Tracing
from topology.provision import plan_of_changelog, provision

LEAVE_S = 5.0
UNIT = "unit"
GROUP_SUFFIX = f"forgestream-{UNIT}"  # of every group; before it stands the topic prefix


def run(
    settings: Settings,
    topics: Sequence[Topic[Any]],
    *,
    dead_letters: Topic[bytes],
    results: Topic[Result],
    declare: Callable[[App], None],
    clock: Clock | None = None,
    ids: LockedIds | None = None,
) -> None:
    """Run the stages that `declare` attaches until SIGTERM; exits with 1 when the unit crashes."""
    code = 0
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(
                _serve(
                    settings,
                    [*topics, dead_letters, results],
                    declare,
                    directory=Path(directory),
                    clock=clock or SystemClock(),
                    ids=ids or LockedIds(),
                )
            )
        except PipelineError as error:
            sys.stderr.write(f"{type(error).__name__}: {error.message}\n")
            code = 1
        # as the command line does: a thread that waits for a broker which is gone must not keep the process
        leave = threading.Timer(LEAVE_S, os._exit, [code])
        leave.daemon = True
        leave.start()
    sys.exit(code)


async def _serve(
    settings: Settings,
    topics: Sequence[Topic[Any]],
    declare: Callable[[App], None],
    *,
    directory: Path,
    clock: Clock,
    ids: LockedIds,
) -> None:
    *_, dead_letters, results = topics
    await ids.start({f"{topic.name}-value": topic.record for topic in topics})
    producer = LibrdkafkaProducer(settings.kafka, settings.engine)
    app = App(
        UNIT,
        Runtime(
            settings=settings,
            schemas=ids,
            producer=producer,
            clock=clock,
            dead_letters=dead_letters,
            results=results,
            tracing=Tracing(),
        ),
    )
    app.conf.datadir = directory
    declare(app)
    changelogs = {app.changelog_name(name): record for name, record in app.owned_tables.items()}
    await ids.start({f"{name}-value": record for name, record in changelogs.items()})
    await provision([plan_of_changelog(name, settings.kafka) for name in changelogs], settings.kafka)
    await _until_stopped(app)
    await producer.close(settings.engine.drain_s)


async def _until_stopped(app: App) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, asked.set)
    await app.start()
    if app.crash_reason is not None:
        raise StartRefused(f"the unit cannot start: {app.crash_reason}") from app.crash_reason
    ends = [asyncio.ensure_future(app.wait_until_stopped()), asyncio.ensure_future(asked.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    with suppress(TimeoutError):  # as the worker: what cannot leave is left behind
        async with asyncio.timeout(app.engine.settings.engine.drain_s + LEAVE_S):
            await app.stop()
    if isinstance(app.crash_reason, PipelineError):
        raise app.crash_reason
    if app.crash_reason is not None:
        raise PipelineError(f"the unit crashed: {app.crash_reason!r}") from app.crash_reason
