"""Whom the demo runs beside forgestream, to make them fail: a model server of its own, and a DataForge."""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from streams.clients.models.registry import SMOLLM2
from streams.settings import RouteSettings, Settings
from topology.demo.dataforge import LoopbackDataForge
from topology.demo.model_server import ModelServer

REMOTE = "remote-smollm2"  # the model behind the server, as the router knows it
MODEL = "smollm2"  # whose weights it serves
CATALOGUE = """
[models.{model}]
provider = "demo-server"
context_tokens = {window}
tier = "local"
domains = ["market"]
capabilities = ["temperature", "seed"]

[servers.demo-server]
protocol = "openai"
url = "{url}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Who runs beside. There is no model server where its weights are not installed, or are not among the models."""

    dataforge: LoopbackDataForge
    model_server: ModelServer | None


@asynccontextmanager
async def neighbours(settings: Settings, folder: Path) -> AsyncIterator[tuple[Settings, Neighbours]]:
    """Run them while the block runs; yields settings that know them. `folder` is for files of theirs.

    Raises:
        StartRefused: one of them cannot start.
    """
    async with AsyncExitStack() as stack:
        dataforge = await stack.enter_async_context(LoopbackDataForge())
        settings = replace(settings, dataforge=replace(settings.dataforge, url=dataforge.url, api_key=""))
        weights = _weights() if MODEL in settings.route.models.split(",") else None
        if weights is None:
            yield settings, Neighbours(dataforge=dataforge, model_server=None)
            return
        server = await stack.enter_async_context(
            ModelServer(weights, context_tokens=settings.route.context_tokens, threads=settings.route.threads)
        )
        route = _with_remote(settings.route, server.url, folder)
        yield replace(settings, route=route), Neighbours(dataforge=dataforge, model_server=server)


def _with_remote(route: RouteSettings, url: str, folder: Path) -> RouteSettings:
    """Return the settings with the server's model as the last choice; the user's own catalogue stays known."""
    known = Path(route.catalogue).read_text(encoding="utf-8") if route.catalogue else ""
    own = CATALOGUE.format(model=REMOTE, window=route.context_tokens, url=url)
    catalogue = folder / "catalogue.toml"
    catalogue.write_text(known + own, encoding="utf-8")
    return replace(route, catalogue=str(catalogue), models=f"{route.models},{REMOTE}")


def _weights() -> Path | None:
    package, file, _ = SMOLLM2
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / file if found and found.origin else None
    return path if path is not None and path.is_file() else None
