"""One unit of our engine as a program of its own: what the worker does, with a test's or a benchmark's stages."""

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from schemas.records import Result
from schemas.registry import LockedIds
from streams.app import App
from streams.clock import SystemClock
from streams.engine import Runtime
from streams.errors import PipelineError
from streams.producer import LibrdkafkaProducer
from streams.settings import Settings
from streams.topic import Topic
from streams.tracing import Tracing
from topology.provision import plan_of_changelog, provision

UNIT = "unit"
GROUP_SUFFIX = f"forgestream-{UNIT}"  # of every group; before it stands the topic prefix


def run(
    settings: Settings,
    topics: Sequence[Topic[Any]],
    *,
    dead_letters: Topic[bytes],
    results: Topic[Result],
    declare: Callable[[App], None],
) -> None:
    """Run the stages that `declare` attaches until SIGTERM; exits with 1 when the unit crashes."""
    with tempfile.TemporaryDirectory() as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(settings, [*topics, dead_letters, results], declare, Path(directory)))
        except PipelineError as error:
            sys.stderr.write(f"{type(error).__name__}: {error.message}\n")
            sys.exit(1)


async def _serve(
    settings: Settings, topics: Sequence[Topic[Any]], declare: Callable[[App], None], directory: Path
) -> None:
    *_, dead_letters, results = topics
    ids = LockedIds()
    await ids.start({f"{topic.name}-value": topic.record for topic in topics})
    producer = LibrdkafkaProducer(settings.kafka, settings.engine)
    app = App(
        UNIT,
        Runtime(
            settings=settings,
            schemas=ids,
            producer=producer,
            clock=SystemClock(),
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
    ends = [asyncio.ensure_future(app.wait_until_stopped()), asyncio.ensure_future(asked.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason
