"""The half of a loopback provider that does not depend on its protocol."""

import asyncio
import contextlib
import gzip
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from aiohttp import web

from streams.clients.models.tokens import WordTokenizer
from tests.loopback.faults import Fault
from tests.loopback.port import on_loopback

WORDS = WordTokenizer()
TEMPLATE_TOKENS = 7
WINDOW_TOKENS = 4000
MIB = 1024 * 1024
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model behind the server says: it repeats the question."""

    pieces: tuple[str, ...]
    finish: str  # stop or length
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it arrived."""

    body: Body
    headers: Mapping[str, str]
    key: str


class Loopback(ABC):
    """A provider on loopback. Keys in `known_keys` are taken, all others are refused; None takes any."""

    path: ClassVar[str]
    content_type: ClassVar[str]
    has_pings: ClassVar[bool] = True

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.problems: list[str] = []
        self.known_keys: set[str] | None = None
        self.limited_keys: set[str] = set()
        self.arrived = asyncio.Semaphore(0)  # released by every call
        self.hung_up = asyncio.Semaphore(0)  # released when a client goes away before its answer has ended
        self.mood: Callable[[], Fault | None] = lambda: None  # what calls meet when nothing is queued
        self.thinks_s = 0.0  # before an answer begins
        self._faults: deque[tuple[Fault, Mapping[str, str]]] = deque()

    def fail_next(self, *faults: Fault, headers: Mapping[str, str] | None = None) -> None:
        """Let the next calls fail, one fault each."""
        self._faults.extend((fault, headers or {}) for fault in faults)

    @abstractmethod
    def question(self, body: Body) -> tuple[str, str, int]:
        """Return system, user and the limit of tokens; note in `problems` whatever breaks the protocol."""

    @abstractmethod
    def opening(self, reply: Reply, *, counted: bool) -> Iterator[bytes]:
        """Yield the events before the first piece."""

    @abstractmethod
    def piece(self, text: str) -> bytes:
        """Return the event of a piece."""

    @abstractmethod
    def closing(self, reply: Reply, *, counted: bool) -> Iterator[bytes]:
        """Yield the events after the last piece."""

    @abstractmethod
    def refusing(self) -> Iterator[bytes]:
        """Yield the events by which the model refuses, in place of the end."""

    @abstractmethod
    def broken(self, fault: Fault) -> bytes:
        """Return the event of a fault in what is said: an error, no JSON, another shape, deep nesting."""

    @abstractmethod
    def ping(self) -> bytes:
        """Return an event without meaning."""

    @abstractmethod
    def error(self, fault: Fault, text: str) -> tuple[int, Body]:
        """Return status and body of an HTTP error."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a call, or fail as told."""
        key = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.headers.get("X-Api-Key", "")
        body = await request.json()
        self.calls.append(Call(body=body, headers=dict(request.headers), key=key))
        self.arrived.release()
        fault, headers = self._faults.popleft() if self._faults else (self.mood(), {})
        if self.known_keys is not None and key not in self.known_keys:
            fault = Fault.UNAUTHORIZED
        if key in self.limited_keys:
            fault, headers = Fault.RATE_LIMITED, {"Retry-After": "60"}
        try:
            await asyncio.sleep(self.thinks_s)
            return await self._answer(request, body, fault, headers, key)
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up.release()
            raise

    async def _answer(
        self, request: web.Request, body: Body, fault: Fault | None, headers: Mapping[str, str], key: str
    ) -> web.StreamResponse:
        system, user, limit = self.question(body)
        reply = reply_to(system, user, limit, empty=fault is Fault.SAYS_NOTHING)
        if reply.input_tokens > WINDOW_TOKENS:
            fault = Fault.TOO_LONG
        if fault is Fault.SILENCE:
            await asyncio.Event().wait()
        if fault is Fault.CLOSED:
            _abort(request)
            return web.Response()
        if fault in HTTP_ERRORS:
            status, said = self.error(fault, f"{TEXTS.get(fault, 'as told')} (key {key})")
            return web.json_response(said, status=status, headers=headers)
        if fault is Fault.ERROR_PAGE or fault is Fault.WRONG_TYPE:
            status = 503 if fault is Fault.ERROR_PAGE else 200
            return web.Response(text=f"<html>\n\n<p>key {key}</p></html>\n", status=status, content_type="text/html")
        return await self._stream(request, reply, fault)

    async def _stream(self, request: web.Request, reply: Reply, fault: Fault | None) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": self.content_type, "Cache-Control": "no-cache"})
        if fault is Fault.COMPRESSED:
            response.headers["Content-Encoding"] = "gzip"
        await response.prepare(request)
        if fault in {Fault.SLOW_START, Fault.EMPTY_BODY}:
            return await _held(response) if fault is Fault.SLOW_START else response
        if fault is Fault.COMPRESSED:
            await response.write(gzip.compress(b"".join(self._events(reply, fault))))
            return response
        for event in self._events(reply, fault):
            parts = [bytes([byte]) for byte in event] if fault is Fault.ODD_CHUNKS else [event]
            for part in parts:
                await response.write(part)
        if fault is Fault.STALL:
            return await _held(response)
        if fault is Fault.TRICKLE:
            while True:
                await response.write(self.ping())
                await asyncio.sleep(0.005)
        if fault is Fault.RESET:
            _abort(request)
        return response

    def _events(self, reply: Reply, fault: Fault | None) -> Iterator[bytes]:
        """Yield the events of an answer, or of the part of it that a fault lets through."""
        counted = fault is not Fault.UNCOUNTED
        yield from self.opening(reply, counted=counted)
        for piece in reply.pieces:
            if fault is Fault.MANY_PINGS:
                yield from [self.ping()] * 20
            yield self.piece(piece)
            if fault in BEGINS_ONLY:
                break
        if fault is Fault.HUGE:
            yield from [b'data: {"' + b"x" * MIB] * 2
        elif fault is Fault.REFUSES:
            yield from self.refusing()
        elif fault in BROKEN:
            yield self.broken(fault)
        elif fault not in BEGINS_ONLY:
            yield from self.closing(reply, counted=counted)


BROKEN = (Fault.ERROR_IN_STREAM, Fault.MALFORMED, Fault.MISSHAPEN, Fault.NESTED, Fault.NOT_UTF8)
BEGINS_ONLY = (Fault.STALL, Fault.TRICKLE, Fault.RESET, Fault.TRUNCATED, Fault.HUGE, Fault.REFUSES, *BROKEN)
TEXTS: Mapping[Fault, str] = {
    Fault.POLICY: "Output blocked by content filtering policy",
    Fault.TOO_LONG: "prompt is too long: this model's maximum context length is 4000 tokens",
}
STATUS: Mapping[Fault, int] = {Fault.OUT_OF_CREDIT: 429, Fault.TOO_LONG: 400, Fault.POLICY: 400}
HTTP_ERRORS = tuple(fault for fault in Fault if fault.isdigit()) + tuple(STATUS)


def status_of(fault: Fault) -> int:
    """Return the HTTP status of a fault."""
    return STATUS.get(fault) or int(fault)


def reply_to(system: str, user: str, limit: int, *, empty: bool = False) -> Reply:
    """Return what the model says: the question again, as far as the limit allows."""
    question = user.rpartition("Question: ")[2] or user
    answer = "" if empty else WORDS.cut(question, limit)
    return Reply(
        pieces=tuple(_pieces(answer)),
        finish="stop" if empty or answer == question else "length",
        input_tokens=WORDS.count(system) + WORDS.count(user) + TEMPLATE_TOKENS,
        output_tokens=0 if empty else max(1, WORDS.count(answer)),
    )


def _pieces(answer: str) -> Sequence[str]:
    words = answer.split(" ")
    return [piece for piece in (word if not at else f" {word}" for at, word in enumerate(words)) if piece]


async def _held(response: web.StreamResponse) -> web.StreamResponse:
    await asyncio.Event().wait()
    return response


def _abort(request: web.Request) -> None:
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()


@contextlib.asynccontextmanager
async def serving(server: Loopback) -> AsyncIterator[Loopback]:
    """Serve on a free port of loopback."""
    app = web.Application(client_max_size=32 * MIB)
    app.router.add_post(server.path, server.answer)
    async with on_loopback(app) as server.url:
        yield server
