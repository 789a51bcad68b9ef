"""A Python program in a process of its own: started before it is asked, and anew when it has ended.

For what would hold the interpreter's lock, or whose licence keeps it apart.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence

from streams.clients.serving import ERROR, HEAD
from streams.errors import ProviderRefused, Transient

MOST_BYTES = 32 * 1024 * 1024
LOAD_S = 30.0
END_S = 2.0


class Program:
    """Is asked one thing after the other.

    A caller that goes away while it waits for its turn is not asked for. Later it does not stop what is under way: the answer is read
    and thrown away before the next one, and a process that is starting goes on. What takes longer than `timeout_s` ends the process.

    Args:
        name: for messages.
        module: the program and its arguments; it calls `streams.clients.serving.serve`.
        timeout_s: longest answer; neither the turn nor the start of the process is part of it.
        unavailable: raised when there is none.
    """

    def __init__(self, name: str, module: Sequence[str], *, timeout_s: float, unavailable: type[Transient]) -> None:
        self.name = name
        self._command = (sys.executable, "-m", *module)
        self._timeout_s = timeout_s
        self._unavailable = unavailable
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._under_way: asyncio.Task[bytes] | None = None  # has the turn
        self._closed = False

    async def start(self) -> None:
        """Start the process, and wait until it is ready. Raises `unavailable`."""
        async with self._turn:
            await self._started()

    async def close(self) -> None:
        """End the process."""
        self._closed = True
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.wait([self._under_way])
        await self._end()

    async def ask(self, request: Mapping[str, str | None]) -> bytes:
        """Return the answer. Raises `unavailable`, ProviderRefused."""
        await self._turn.acquire()
        task = self._under_way = asyncio.get_running_loop().create_task(self._asked(request), name=f"ask-{self.name}")
        task.add_done_callback(self._over)
        return await asyncio.shield(task)

    def _over(self, task: "asyncio.Task[bytes]") -> None:
        self._under_way = None
        self._turn.release()
        if not task.cancelled():
            task.exception()  # nobody may be left to take it

    async def _asked(self, request: Mapping[str, str | None]) -> bytes:
        process = await self._started()
        try:
            async with asyncio.timeout(self._timeout_s):
                assert process.stdin is not None  # noqa: S101 - it was started with a pipe
                process.stdin.write(json.dumps(request).encode() + b"\n")
                await process.stdin.drain()
                return await self._answer(process)
        except TimeoutError as error:  # an OSError too, so it stands first
            await self._end()
            raise self._unavailable(f"{self.name} did not answer within {self._timeout_s:g} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            await self._end()
            raise self._unavailable(f"{self.name} has ended") from error
        except asyncio.CancelledError:
            await self._end()
            raise

    async def _answer(self, process: asyncio.subprocess.Process) -> bytes:
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        kind, length = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
        if length > MOST_BYTES:
            await self._end()
            raise self._unavailable(f"{self.name} answered with {length:,} bytes")
        content = await process.stdout.readexactly(length)
        if kind == ERROR:
            raise ProviderRefused(f"{self.name}: {content.decode('utf-8', 'replace')}")
        return content

    async def _started(self) -> asyncio.subprocess.Process:
        if self._closed:
            raise self._unavailable(f"{self.name} was shut down")
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
            raise self._unavailable(f"{self.name} cannot be started: {error}") from error
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
