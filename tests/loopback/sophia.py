"""A Sophia on loopback: real sockets, every field of the contract checked, faults on demand."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

from tests.loopback.port import on_loopback

TOKEN = "token-of-the-test"
PATH = "/ingest/hermes_proposal"
TEXT: Mapping[str, object] = {"type": "string", "minLength": 1}
SHARE: Mapping[str, object] = {"type": "number", "minimum": 0, "maximum": 1}
PROPOSAL: Mapping[str, Mapping[str, object]] = {
    "proposal_id": TEXT,
    "correlation_id": TEXT,
    "source_service": TEXT,
    "llm_provider": TEXT,
    "model": TEXT,
    "confidence": SHARE,
    "generated_at": {"type": "string", "format": "date-time", "pattern": "^[0-9-]{10}T.*(Z|[+-][0-9:]{5})$"},
    "nodes": {"type": "array", "items": {"type": "object"}},
    "edges": {"type": "array", "items": {"type": "object"}},
    "raw_text": TEXT,
    "embedding": {
        "type": "object",
        "properties": {
            "vector": {"type": "array", "items": {"type": "number"}, "minItems": 1},
            "dimension": {"type": "integer", "minimum": 1},
            "model": TEXT,
            "embedding_id": TEXT,
        },
        "required": ["vector", "dimension", "model", "embedding_id"],
        "additionalProperties": False,
    },
    "metadata": {"type": "object"},
    "provenance": {"type": "object"},
}
SCHEMA = {"type": "object", "properties": PROPOSAL, "required": list(PROPOSAL), "additionalProperties": False}
Body = dict[str, Any]


class Fault(StrEnum):
    """What the next call meets instead of an answer."""

    SERVER_ERROR = "500"
    UNPROCESSABLE = "422"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    TOO_MANY = "429"
    CONFLICT = "409"
    REDIRECT = "302"
    SILENCE = "silence"
    MALFORMED = "malformed"
    MISSING_FIELDS = "missing fields"  # an empty object
    MISSHAPEN = "misshapen"  # a list where an object belongs
    EMPTY = "empty"
    NOT_ACCEPTED = "not accepted"
    HALF = "half"  # the connection ends in the middle of the answer
    TAKEN_AND_CLOSED = "taken and closed"  # the proposal is taken, and nobody hears of it
    CLOSED = "closed"


@dataclass
class LoopbackSophia:
    """What it got, by id, and how often each came. `fail_next` queues faults: each call takes one."""

    url: str = ""
    proposals: dict[str, Body] = field(default_factory=dict)
    came: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    calls: int = 0
    under_way: int = 0
    most_under_way: int = 0
    problems: list[str] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    down: Callable[[], bool] = lambda: False
    _faults: deque[tuple[Fault, Mapping[str, str]]] = field(default_factory=deque)

    def fail_next(self, *faults: Fault, headers: Mapping[str, str] | None = None) -> None:
        """Let the next calls fail, one fault each."""
        self._faults.extend((fault, headers or {}) for fault in faults)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Answer a `POST /ingest/hermes_proposal`."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answered(request)
        finally:
            self.under_way -= 1

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        self.connections.add(request.transport)
        if self.down():
            return await _failed(request, Fault.SERVER_ERROR, {})
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"detail": "unknown token"}, status=401)
        fault, headers = self._faults.popleft() if self._faults else (None, {})
        if fault is not None and fault is not Fault.TAKEN_AND_CLOSED:
            return await _failed(request, fault, headers)
        body = await request.json()
        if problems := _problems(body):
            self.problems += problems
            return web.json_response({"detail": problems}, status=422)
        self.came[body["proposal_id"]] += 1
        if body["proposal_id"] not in self.proposals:
            self.order.append(body["proposal_id"])
        self.proposals.setdefault(body["proposal_id"], body)
        if fault is Fault.TAKEN_AND_CLOSED and request.transport is not None:
            request.transport.close()
        return web.json_response({"status": "accepted"}, status=201)


def _problems(body: Body) -> list[str]:
    found = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(body)]
    embedding = body.get("embedding", {})
    if not found and len(embedding["vector"]) != embedding["dimension"]:
        found.append(f"$.embedding: {len(embedding['vector'])} numbers, dimension {embedding['dimension']}")
    return found


async def _failed(request: web.Request, fault: Fault, headers: Mapping[str, str]) -> web.StreamResponse:
    if fault is Fault.SILENCE:
        await asyncio.Event().wait()
    if fault is Fault.CLOSED and request.transport is not None:
        request.transport.close()
    if fault is Fault.HALF:
        answer = web.StreamResponse(status=201, headers={"Content-Type": "application/json", "Content-Length": "22"})
        await answer.prepare(request)
        await answer.write(b'{"status": "acc')
        if isinstance(request.transport, asyncio.Transport):
            request.transport.abort()
        return answer
    bodies = {
        Fault.MALFORMED: "<html>a proxy's page",
        Fault.MISSING_FIELDS: "{}",
        Fault.MISSHAPEN: '["accepted"]',
        Fault.EMPTY: "",
        Fault.NOT_ACCEPTED: '{"status": "rejected"}',
    }
    if fault in bodies:
        return web.Response(text=bodies[fault], status=201, content_type="application/json")
    status = int(fault) if fault.isdigit() else 500
    return web.json_response({"detail": "as told"}, status=status, headers=headers)


@contextlib.asynccontextmanager
async def loopback_sophia() -> AsyncIterator[LoopbackSophia]:
    """Serve on a free port of loopback."""
    server = LoopbackSophia()
    app = web.Application()
    app.router.add_post(PATH, server.take)
    async with on_loopback(app) as server.url:
        yield server
