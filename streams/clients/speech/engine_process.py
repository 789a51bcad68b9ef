"""A speech engine in a process of its own: started before the first sentence, and anew when it has ended."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Sequence

from streams.clients.speech.serving import ERROR, HEAD
from streams.errors import ProviderRefused, SpeechUnavailable
from streams.speech import Spoken

log = logging.getLogger("forgestream.speech")

LONGEST_TEXT = 4_000
MOST_BYTES = 32 * 1024 * 1024
LOAD_S = 30.0
END_S = 2.0


class EngineProcess:
    """A `SpeechEngine` that is asked one sentence after the other.

    A caller that goes away does not stop the sentence under way; it is read and thrown away before the next one. A
    sentence that takes longer than `timeout_s` ends the process.
    """

    def __init__(self, name: str, program: Sequence[str], *, timeout_s: float) -> None:
        self.name = name
        self._command = (sys.executable, "-m", *program)
        self._timeout_s = timeout_s
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._under_way: set[asyncio.Task[Spoken]] = set()
        self._closed = False

    async def start(self) -> None:
        """Start the process; an engine that cannot be started is left for the ladder to find out."""
        try:
            async with self._turn:
                await self._started()
        except SpeechUnavailable as error:
            log.warning("%s; the next rung speaks until it can be started", error.message)

    async def close(self) -> None:
        """End the process."""
        self._closed = True
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self._end()

    async def speak(self, text: str, *, voice: str | None = None) -> Spoken:
        """Return the text spoken. Raises SpeechUnavailable, ProviderRefused."""
        if len(text) > LONGEST_TEXT:
            raise ProviderRefused(f"{self.name} is asked for {len(text):,} characters at once")
        if self._closed:
            raise SpeechUnavailable(f"{self.name} was shut down")
        task = asyncio.get_running_loop().create_task(self._spoken(text, voice), name=f"speak-{self.name}")
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Task[Spoken]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to take it

    async def _spoken(self, text: str, voice: str | None) -> Spoken:
        async with self._turn:
            process = await self._started()
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._asked(process, text, voice)
            except TimeoutError as error:  # an OSError too, so it stands first
                await self._end()
                raise SpeechUnavailable(f"{self.name} did not speak within {self._timeout_s:g} s") from error
            except (OSError, asyncio.IncompleteReadError) as error:
                await self._end()
                raise SpeechUnavailable(f"{self.name} has ended") from error
            except asyncio.CancelledError:
                await self._end()
                raise

    async def _asked(self, process: asyncio.subprocess.Process, text: str, voice: str | None) -> Spoken:
        assert process.stdin is not None  # noqa: S101 - it was started with a pipe
        process.stdin.write(json.dumps({"text": text, "voice": voice}).encode() + b"\n")
        await process.stdin.drain()
        return await self._answer(process)

    async def _answer(self, process: asyncio.subprocess.Process) -> Spoken:
        assert process.stdout is not None  # noqa: S101 - as above
        kind, rate_hz, length = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
        if length > MOST_BYTES:
            await self._end()
            raise SpeechUnavailable(f"{self.name} answered with {length:,} bytes")
        content = await process.stdout.readexactly(length)
        if kind == ERROR:
            raise ProviderRefused(f"{self.name}: {content.decode('utf-8', 'replace')}")
        return Spoken(pcm=content, sample_rate_hz=rate_hz)

    async def _started(self) -> asyncio.subprocess.Process:
        if self._closed:
            raise SpeechUnavailable(f"{self.name} was shut down")
        if self._process is not None and self._process.returncode is None:
            return self._process
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            self._process = process
            async with asyncio.timeout(LOAD_S):
                await self._answer(process)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ProviderRefused) as error:
            await self._end()
            raise SpeechUnavailable(f"{self.name} cannot be started: {error}") from error
        return process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await process.wait()
