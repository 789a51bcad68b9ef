"""A speech engine that is a program."""

import asyncio
import logging
import struct
from collections.abc import Callable, Mapping, Sequence

from streams.clients.program import Program
from streams.clients.serving import serve
from streams.errors import ProviderRefused, SpeechUnavailable
from streams.speech import Spoken

log = logging.getLogger("forgestream.speech")

LONGEST_TEXT = 4_000
RATE_HZ = struct.Struct("<I")  # before the samples

Speak = Callable[[str, str | None], tuple[int, bytes]]


class EngineProcess:
    """A `SpeechEngine` that is asked one sentence after the other.

    Nobody waits longer than `timeout_s` for a sentence, whatever the time goes into: its turn, a start of the process, its speech.
    """

    def __init__(self, name: str, module: Sequence[str], *, timeout_s: float) -> None:
        self.name = name
        self._timeout_s = timeout_s
        self._program = Program(name, module, timeout_s=timeout_s, unavailable=SpeechUnavailable)

    async def start(self) -> None:
        """Start the process; an engine that cannot be started is left for the ladder to find out."""
        try:
            await self._program.start()
        except SpeechUnavailable as error:
            log.warning("%s; the next rung speaks until it can be started", error.message)

    async def close(self) -> None:
        """End the process."""
        await self._program.close()

    async def speak(self, text: str, *, voice: str | None = None) -> Spoken:
        """Return the text spoken. Raises SpeechUnavailable, ProviderRefused."""
        if len(text) > LONGEST_TEXT:
            raise ProviderRefused(f"{self.name} is asked for {len(text):,} characters at once")
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._program.ask({"text": text, "voice": voice})
        except TimeoutError as error:
            raise SpeechUnavailable(f"{self.name} did not answer within {self._timeout_s:g} s") from error
        (rate_hz,) = RATE_HZ.unpack_from(answer)
        return Spoken(pcm=answer[RATE_HZ.size :], sample_rate_hz=rate_hz)


def serve_speech(load: Callable[[], Speak]) -> None:
    """Be the program of a speech engine."""

    def loaded() -> Callable[[Mapping[str, str]], bytes]:
        speak = load()

        def reply(asked: Mapping[str, str]) -> bytes:
            rate_hz, pcm = speak(asked["text"], asked["voice"])
            return RATE_HZ.pack(rate_hz) + pcm

        return reply

    serve(loaded)
