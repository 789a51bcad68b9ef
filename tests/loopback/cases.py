"""Every provider with the settings that reach it: those in this process, and those behind a loopback server."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from streams.clients.models.registry import OwnedModel, models_of
from streams.settings import RouteSettings
from tests.loopback.anthropic_api import AnthropicLoopback
from tests.loopback.ollama_api import OllamaLoopback
from tests.loopback.openai_api import CompatibleLoopback, OpenAiLoopback
from tests.loopback.serving import Loopback, serving

PARALLEL = 2
IN_PROCESS = ("smollm2", "extractive", "echo")
CANARIES = ("sk-canary-first-0001", "sk-canary-second-0002")
SERVERS: Mapping[str, Callable[[], Loopback]] = {
    "anthropic": AnthropicLoopback,
    "openai": OpenAiLoopback,
    "compatible": CompatibleLoopback,
    "ollama": OllamaLoopback,
}
NETWORK = tuple(SERVERS)
KEYED = ("anthropic", "openai", "compatible")
MODELS: Mapping[str, str] = {
    "anthropic": "claude-haiku-4-5",
    "openai": "gpt-6-luna",
    "compatible": "compatible:a-model",
    "ollama": "ollama:a-model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A provider, ready to be asked."""

    kind: str
    settings: RouteSettings
    loopback: Loopback | None = None

    @property
    def server(self) -> Loopback:
        """The server, of those that have one."""
        assert self.loopback is not None
        return self.loopback

    @asynccontextmanager
    async def model(self, **changes: Any) -> AsyncIterator[OwnedModel]:  # noqa: ANN401 - settings
        """Yield the model with some settings changed, started; closed at the end."""
        (built,) = models_of(replace(self.settings, **changes))
        await built.start()
        try:
            yield built
        finally:
            await built.close()


@asynccontextmanager
async def opened(kind: str, *, keys: tuple[str, ...] = CANARIES[:1]) -> AsyncIterator[Case]:
    """Yield a provider; a server of its own runs meanwhile."""
    common = RouteSettings(context_tokens=512, parallel=PARALLEL, threads=1, answer_mb=1.0)
    if kind in IN_PROCESS:
        yield Case(kind=kind, settings=replace(common, models=kind))
        return
    async with serving(SERVERS[kind]()) as server:
        yield Case(kind=kind, settings=replace(common, **reaching(kind, server, keys)), loopback=server)


def reaching(kind: str, server: Loopback, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings that lead to a server."""
    path = "/v1" if isinstance(server, OpenAiLoopback) else ""
    found = {"models": MODELS[kind], f"{kind}_url": f"{server.url}{path}"}
    return {**found, f"{kind}_keys": ",".join(keys)} if kind in KEYED else found
