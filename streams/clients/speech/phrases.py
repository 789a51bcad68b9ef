"""Phrases spoken before: greetings and apologies come from memory."""

from collections import OrderedDict
from typing import Protocol

from streams.clients.providers import Lifecycle
from streams.settings import SynthesizeSettings
from streams.speech import SpeechEngine, Spoken

MEBIBYTE = 1024 * 1024


class OwnedEngine(SpeechEngine, Lifecycle, Protocol):
    """An engine and its life."""


class Remembered:
    """A `SpeechEngine` that remembers short phrases of another, in bounded memory."""

    def __init__(self, engine: OwnedEngine, settings: SynthesizeSettings) -> None:
        self.name = engine.name
        self._engine = engine
        self._most_bytes = int(settings.cache_mb * MEBIBYTE)
        self._longest = settings.cached_chars
        self._phrases: OrderedDict[tuple[str, str | None], Spoken] = OrderedDict()
        self._bytes = 0

    async def start(self) -> None:
        """Start the engine."""
        await self._engine.start()

    async def close(self) -> None:
        """End the engine."""
        await self._engine.close()

    async def speak(self, text: str, *, voice: str | None = None) -> Spoken:
        """Return the text spoken. Raises SpeechUnavailable, ProviderRefused."""
        known = self._phrases.get((text, voice))
        if known is not None:
            self._phrases.move_to_end((text, voice))
            return known
        spoken = await self._engine.speak(text, voice=voice)
        if len(text) <= self._longest and len(spoken.pcm) <= self._most_bytes:
            self._remember((text, voice), spoken)
        return spoken

    def _remember(self, key: tuple[str, str | None], spoken: Spoken) -> None:
        replaced = self._phrases.pop(key, None)
        self._bytes += len(spoken.pcm) - (len(replaced.pcm) if replaced is not None else 0)
        self._phrases[key] = spoken
        while self._bytes > self._most_bytes:
            _, oldest = self._phrases.popitem(last=False)
            self._bytes -= len(oldest.pcm)
