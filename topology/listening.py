"""A port of a worker that speaks HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from streams.errors import StartRefused


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int, *, name: str, setting: str) -> AsyncIterator[int]:
    """Serve `app` while the block runs; yields the port. `name` and `setting` are for the message.

    Raises:
        StartRefused: the port is taken, or the host is none of this machine.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise StartRefused(
                f"the {name} {host}:{port} cannot be opened ({error.strerror}); set {setting} to a free one"
            ) from error
        yield port
    finally:
        await runner.cleanup()
