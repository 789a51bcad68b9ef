"""`forgestream up` and `forgestream worker`."""

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Collection
from dataclasses import replace
from typing import Annotated

import typer

from streams.errors import PipelineError, StartRefused
from streams.settings import Settings
from topology.cli.console import CANNOT_START, FAILED, Json, print_json_line, say, settings
from topology.cli.progress import Steps
from topology.units import Unit

LEAVE_S = 5.0

UP_EPILOG = """
**Examples**

`forgestream up` starts a real Kafka, the vector store, the models and all stages.

The first time it downloads Kafka (43 MB).

In another terminal, with the address it prints:

`export FORGESTREAM_KAFKA=127.0.0.1:PORT`

`forgestream produce texts --query "Why does Ahab hunt the whale?" --wait`

`forgestream tail results dead-letters`

`FORGESTREAM_EMBEDDED_DATA_DIR=./data forgestream up` keeps topics and vectors for the next time.

Ctrl-C ends it: what is under way is finished first, for at most FORGESTREAM_ENGINE_DRAIN_S seconds.
"""

WORKER_EPILOG = """
**Examples**

`FORGESTREAM_KAFKA=broker:9092 forgestream worker --unit inference` runs one unit, as often as there are partitions.

`FORGESTREAM_ENGINE_WORKER_ID=worker-2` has to be different in every worker of a unit; keep it over restarts.

`FORGESTREAM_TELEMETRY_HEALTH_PORT=8080` serves /live, /ready and /metrics on loopback.

SIGTERM ends it: what is under way is finished first, for at most FORGESTREAM_ENGINE_DRAIN_S seconds.
Exit codes: 0 ended by a signal, 1 a unit crashed, 2 cannot start.
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command("up", epilog=UP_EPILOG)
    def up(
        *,
        verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Write the log as the settings say.")] = False,
        as_json: Json = False,
    ) -> None:
        """Everything in this process: Kafka (unless FORGESTREAM_KAFKA names one), vector store, models, all stages."""
        read = settings()
        if not verbose:
            read = replace(read, telemetry=replace(read.telemetry, log_level="error", log_format="text"))
        _run(read, tuple(Unit), as_json=as_json)

    @app.command("worker", epilog=WORKER_EPILOG)
    def worker(
        *,
        unit: Annotated[list[Unit] | None, typer.Option(help="Unit to run; may be repeated. All when absent.")] = None,
        as_json: Json = False,
    ) -> None:
        """Some units against a cluster, until a signal ends it."""
        read = settings()
        if not read.kafka.bootstrap:
            raise StartRefused("a worker needs FORGESTREAM_KAFKA; `forgestream up` brings a Kafka of its own")
        _run(read, tuple(unit or Unit), as_json=as_json)


def _run(settings: Settings, units: Collection[Unit], *, as_json: bool) -> None:
    import uvloop  # noqa: PLC0415 - as above

    from streams.logs import configure  # noqa: PLC0415 - `--help` needs none of these

    configure(settings.telemetry)
    # Milvus Lite reports calls it does not implement as errors; pymilvus goes on without them
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    code = 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_until_stopped(settings, units, as_json=as_json))
        except PipelineError as error:
            say(f"forgestream: {error.message}")
            code = CANNOT_START if isinstance(error, StartRefused) else FAILED
        # a thread that waits for a broker which is gone must not keep the process
        leave = threading.Timer(LEAVE_S, os._exit, [code])
        leave.daemon = True
        leave.start()
    raise typer.Exit(code)


async def _until_stopped(settings: Settings, units: Collection[Unit], *, as_json: bool) -> None:
    """Run until a signal ends it. Raises PipelineError when it ends by itself."""
    from topology.stack import running  # noqa: PLC0415 - loads the engine, the agents and the clients

    signalled = _cancelled_by_signals()
    try:
        with Steps(quiet=as_json) as steps:
            async with running(settings, units, tell=steps.done, on_progress=steps.progress) as up:
                steps.finish()
                gc.freeze()  # a full collection would look through all of it, and stop every stage for 50 ms
                address = up.settings.kafka.bootstrap
                if as_json:
                    print_json_line({"ready": True, "kafka": address, "units": sorted(units)})
                else:
                    _welcome(address, units, embedded=up.kafka is not None)
                await up.wait()
    except asyncio.CancelledError:
        if not signalled.is_set():
            raise


def _cancelled_by_signals() -> asyncio.Event:
    """Let SIGINT and SIGTERM cancel this task; a second one ends the process at once."""
    signalled, task = asyncio.Event(), asyncio.current_task()

    def stop() -> None:
        if signalled.is_set():
            os._exit(FAILED)
        signalled.set()
        if task is not None:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return signalled


def _welcome(address: str, units: Collection[Unit], *, embedded: bool) -> None:
    say(f"ready: {', '.join(units)} on {'the embedded Kafka' if embedded else 'Kafka'} at {address}")
    if embedded:
        say(f"""
In another terminal:
  export FORGESTREAM_KAFKA={address}
  forgestream produce knowledge < documents.jsonl
  forgestream produce texts --query "..." --wait
  forgestream tail results dead-letters

Ctrl-C ends it.""")
