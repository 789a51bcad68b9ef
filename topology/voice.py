"""The ports of the voice stages, opened."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from typing import Any

from streams.clients.language.registry import analyst_of
from streams.clients.providers import Lifecycle
from streams.clients.speech.registry import decoder_of, engines_of, recognizer_of
from streams.settings import Settings
from topology.together import together

Start = Callable[[str, Lifecycle], Awaitable[None]]


def voice(
    settings: Settings, uses: Collection[str], ports: dict[str, Any], start: Start
) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield the work of opening what the ports in `uses` need; it can be done all at the same time."""

    async def hear() -> None:
        decoder = ports["decoder"] = decoder_of(settings.transcribe)
        recognizer = ports["recognizer"] = recognizer_of(settings.transcribe)
        await start("audio decoder", decoder)
        await start("speech recognition", recognizer)

    async def speak() -> None:
        engines = ports["engines"] = tuple(engines_of(settings.synthesize))
        await together(*(_started(start, engine) for engine in engines))

    async def understand() -> None:
        analyst = ports["analyst"] = analyst_of(settings.analyse)
        await start("language analysis", analyst)

    if {"decoder", "recognizer"} & set(uses):
        yield hear()
    if "engines" in uses:
        yield speak()
    if "analyst" in uses:
        yield understand()


async def _started(start: Start, engine: Any) -> None:  # noqa: ANN401 - an engine and its life
    await start(f"speech engine {engine.name}", engine)
