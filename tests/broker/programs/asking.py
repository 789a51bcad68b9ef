"""All units of the pipeline, with a model behind HTTP; everything else comes from the environment, as for a worker."""

import asyncio
import os
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import uvloop

from streams.clients.providers import sink_of
from streams.clock import SystemClock
from streams.settings import Settings
from tests.clock import FixedClock
from tests.fakes.provider import HttpModel
from tests.pipeline.world import outside
from topology.outside import Outside
from topology.units import Unit
from topology.worker import working


async def main(provider: str) -> None:
    """Run until killed."""
    settings = Settings.read(os.environ)
    model = HttpModel(provider)
    ports = replace(outside(model, clock=FixedClock(), sink=sink_of(settings.dataforge)), clock=SystemClock())
    uses = {declared.name for declared in fields(Outside)}
    with tempfile.TemporaryDirectory() as directory:
        async with working(
            settings, list(Unit), ports, uses=uses, data_dir=Path(directory), tell=lambda _: None
        ) as worker:
            await worker.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
