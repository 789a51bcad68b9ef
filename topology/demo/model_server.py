"""A model server that can be killed: llama.cpp's own HTTP server in a process, which speaks OpenAI's chat completions."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.errors import StartRefused
from topology.embedded.ports import free_ports
from topology.embedded.properties import HOST

PROGRAM = "streams.clients.models.llamacpp_server"
LOAD_S = 60.0


class ModelServer:
    """One address for its whole life, whether or not anybody listens there; the end of the block kills whoever does."""

    def __init__(self, weights: Path, *, context_tokens: int, threads: int) -> None:
        (port,) = free_ports(1)
        self.url = f"http://{HOST}:{port}/v1"
        self._order = {"weights": str(weights), "context_tokens": context_tokens, "threads": threads, "port": port}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill whatever runs."""
        await self.kill()

    async def start(self) -> None:
        """Start a process and wait until it answers.

        Raises:
            StartRefused: it does not.
        """
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", PROGRAM, json.dumps(self._order),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        said = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOAD_S):
                said = await process.stdout.readline()
        if not said:
            await self.kill()
            raise StartRefused(f"the demo's model server at {self.url} did not start")

    async def kill(self) -> int | None:
        """Kill the process as `kill -9` does. Returns its id; None when there is none."""
        process, self._process = self._process, None
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
        return process.pid
