"""A TCP proxy whose link can be made slow, lossy, cut, or half-open."""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from typing import Any, Self

CHUNK_BYTES = 16 * 1024
LATENCY_S = 0.2
LOSS = 0.2  # of chunks: about one packet in fifty
RETRANSMISSION_S = 0.2  # the shortest timeout of Linux; it doubles with every loss of the same packet
MOST_LOSSES = 5
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: what is closed is reset


class Link(StrEnum):
    """What the network does."""

    OPEN = "open"
    SLOW = "slow"  # every chunk takes 0.2 s more
    LOSSY = "lossy"  # as TCP shows it to those above: silence until the packet that was lost comes again
    CUT = "cut"  # connections are reset, new ones refused
    HALF_OPEN = "half-open"  # connections stay, and nothing sent arrives, in either direction


class FaultProxy:
    """Forwards a port to another, on 127.0.0.1, in a thread of its own."""

    def __init__(self, listens: int, forwards: int) -> None:
        self._listens = listens
        self._forwards = forwards
        self._link = Link.OPEN
        self._chance = random.Random(listens)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def become(self, link: Link) -> None:
        """Change the network; connections that have missed something do not survive the change."""
        self._call(self._become(link))

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._listens)

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self._reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _become(self, link: Link) -> None:
        before, self._link = self._link, link
        if link is Link.CUT or before is Link.HALF_OPEN:
            self._reset()

    def _reset(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._link is Link.CUT:
            _reset(writer)
            return
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._forwards)
        except OSError:
            _reset(writer)
            self._writers.discard(writer)
            return
        self._writers.add(far_writer)
        with suppress(OSError):
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        for each in (writer, far_writer):
            self._writers.discard(each)
            _reset(each)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self._link is Link.HALF_OPEN:
                continue
            if self._link is Link.SLOW:
                await asyncio.sleep(LATENCY_S)
            if self._link is Link.LOSSY:
                await self._retransmitted()
            writer.write(chunk)
            await writer.drain()
        writer.close()

    async def _retransmitted(self) -> None:
        for losses in range(MOST_LOSSES):
            if self._chance.random() >= LOSS:
                return
            await asyncio.sleep(RETRANSMISSION_S * 2**losses)


def _reset(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
