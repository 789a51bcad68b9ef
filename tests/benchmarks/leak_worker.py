"""A worker of the whole text path whose first model dies on command and writes down every call it gets."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import uvloop

from streams.clients.models.echo import Echo
from streams.clock import SystemClock
from streams.errors import ProviderUnavailable
from streams.ports import Ask, Finish, ModelSpec, Piece, Tokenizer
from streams.settings import CacheSettings, EngineSettings, KafkaSettings, RouteSettings, Settings, WatchSettings
from tests.fakes.tokenizer import WordsTokenizer
from tests.pipeline.world import outside
from topology.outside import Outside
from topology.units import Unit
from topology.worker import working

ANSWERS_AFTER_S = 0.1
RECOVERY_S = 3.0
PROBE_S = 1.0
DYING = "dying"


class Dying:
    """A `Model` that answers after a moment; while `dead` exists it fails, after `fails_after_s`."""

    def __init__(self, dead: Path, calls: TextIO, fails_after_s: float) -> None:
        self.spec = ModelSpec(name=DYING, provider=DYING, context_tokens=2048)
        self.tokenizer: Tokenizer = WordsTokenizer()
        self._dead = dead
        self._calls = calls
        self._fails_after_s = fails_after_s

    async def stream(self, ask: Ask) -> AsyncIterator[Piece | Finish]:
        """Answer, or fail."""
        self._calls.write(json.dumps({"at": time.time(), "request": ask.request_id}) + "\n")
        self._calls.flush()
        if self._dead.exists():
            await asyncio.sleep(self._fails_after_s)
            raise ProviderUnavailable("dead")
        await asyncio.sleep(ANSWERS_AFTER_S)
        yield Piece(text=ask.query)
        yield Finish(finish_reason="stop", input_tokens=1, output_tokens=1)


def settings_of(bootstrap: str, prefix: str, worker: str) -> Settings:
    """Return the settings of a worker."""
    return Settings(
        kafka=KafkaSettings(bootstrap=bootstrap, topic_prefix=prefix),
        engine=EngineSettings(worker_id=worker),
        route=RouteSettings(explore_share=0.0),
        cache=CacheSettings(exact="off"),
        watch=WatchSettings(recovery_s=RECOVERY_S, probe_s=PROBE_S),
    )


async def _serve(bootstrap: str, prefix: str, worker: str, directory: Path, fails_after_s: float) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    units = list(Unit) if worker == "worker-0" else [Unit.INFERENCE]
    with (directory / f"{worker}.calls").open("a", encoding="utf-8") as calls, TemporaryDirectory() as data:
        dying = Dying(directory / "dead", calls, fails_after_s)
        ports = outside(dying, Echo(), clock=SystemClock())
        uses = {declared.name for declared in fields(Outside)}
        settings = settings_of(bootstrap, prefix, worker)
        async with working(settings, units, ports, uses=uses, data_dir=Path(data), tell=lambda _: None):
            (directory / f"{worker}.ready").write_text(datetime.now(UTC).isoformat(), encoding="ascii")
            await asked.wait()


def main(bootstrap: str, prefix: str, worker: str, directory: str, fails_after_s: str) -> None:
    """Work until SIGTERM."""
    uvloop.run(_serve(bootstrap, prefix, worker, Path(directory), float(fails_after_s)))


if __name__ == "__main__":
    main(*sys.argv[1:])
