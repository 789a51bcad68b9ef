"""Everything one process needs, started side by side and stopped in the right order."""

import os
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from streams.errors import StartRefused
from streams.settings import Settings
from topology.diagram import drawn
from topology.embedded.cache import cache_directory
from topology.embedded.jars import Progress
from topology.embedded.kafka import EmbeddedKafka
from topology.outside import Outside, Tell, open_outside
from topology.together import together
from topology.units import Unit
from topology.worker import Worker, working


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that is up. `settings` name the broker, also when it is the embedded one."""

    settings: Settings
    worker: Worker
    kafka: EmbeddedKafka | None

    async def wait(self) -> None:
        """Return never while all goes well.

        Raises:
            PipelineError: a unit crashed or stopped, or the embedded Kafka ended.
        """
        waits = [self.worker.wait()] if self.kafka is None else [self.worker.wait(), self.kafka.wait()]
        await together(*waits)


@asynccontextmanager
async def running(
    settings: Settings, units: Collection[Unit], *, tell: Tell, on_progress: Progress | None = None
) -> AsyncIterator[Running]:
    """Run `units` while the block runs, on an embedded Kafka unless the settings name brokers.

    Raises:
        StartRefused: with one sentence that says what to do.
    """
    uses = {port for stage in drawn(settings).stages if stage.unit in units for port in stage.uses}
    refuse_forgetful_store(settings, uses)
    cache_dir = cache_directory(settings.embedded.cache_dir, os.environ)
    async with AsyncExitStack() as owned:
        data_dir = owned.enter_context(_data_directory(settings))
        kafka: EmbeddedKafka | None = None
        outside: Outside | None = None

        async def boot() -> None:
            nonlocal kafka
            if not settings.kafka.bootstrap:
                kafka = await owned.enter_async_context(EmbeddedKafka(settings.embedded, on_progress=on_progress))

        async def load() -> None:
            nonlocal outside
            opening = open_outside(settings, uses=uses, data_dir=data_dir, cache_dir=cache_dir, tell=tell)
            outside = await owned.enter_async_context(opening)

        await together(boot(), load())
        if kafka is not None:
            settings = replace(settings, kafka=replace(settings.kafka, bootstrap=kafka.bootstrap))
        assert outside is not None  # noqa: S101 - `together` has raised otherwise
        worker = await owned.enter_async_context(
            working(settings, units, outside, uses=uses, data_dir=data_dir, tell=tell)
        )
        yield Running(settings=settings, worker=worker, kafka=kafka)


def refuse_forgetful_store(settings: Settings, uses: Collection[str]) -> None:
    """Refuse a store thrown away at exit beside a Kafka that is not: its documents would never be indexed again.

    Raises:
        StartRefused: the store would forget.
    """
    kept = settings.store.uri or settings.embedded.data_dir
    if settings.kafka.bootstrap and "store" in uses and not kept:
        raise StartRefused(
            "the vector store would be thrown away at exit, but Kafka remembers that its documents were indexed; "
            "set FORGESTREAM_STORE_URI to a Milvus server, or FORGESTREAM_EMBEDDED_DATA_DIR to a directory that stays"
        )


@contextmanager
def _data_directory(settings: Settings) -> Iterator[Path]:
    """Yield the directory of the settings, or one that is thrown away."""
    if settings.embedded.data_dir:
        directory = Path(settings.embedded.data_dir).expanduser().absolute()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefused(
                f"FORGESTREAM_EMBEDDED_DATA_DIR {directory} cannot be used ({error.strerror}); "
                "name a directory you may write to"
            ) from error
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="forgestream-", ignore_cleanup_errors=True) as thrown_away:
        yield Path(thrown_away)
