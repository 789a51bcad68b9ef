"""A DataForge on loopback: real sockets, every field of the contract checked, idempotent, faults on demand.

`ENDPOINTS` has one line per call that takes a body; packs are served from `packs`.
"""

import asyncio
import contextlib
import hashlib
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

from tests.loopback.port import on_loopback

API_KEY = "key-of-the-test"
TEXT: Mapping[str, object] = {"type": "string", "minLength": 1}
SHARE: Mapping[str, object] = {"type": "number", "minimum": 0, "maximum": 1}
COUNT: Mapping[str, object] = {"type": "integer", "minimum": 0}
OUTCOME = {
    "outcome_id": TEXT,
    "context_bundle_id": TEXT,
    "model_id": TEXT,
    "routing_cell": {"type": "string", "pattern": "^[a-z]+/[a-z]+$"},
    "reward": SHARE,
    "stage": TEXT,
    "evidence": {"type": "array", "items": TEXT},
    "source_system": TEXT,
}
INFERENCE = {
    "inference_id": TEXT,
    "domain": TEXT,
    "task_type": TEXT,
    "context_pack_id": {"type": ["string", "null"]},
    "user_query": TEXT,
    "model_id": TEXT,
    "model_provider": TEXT,
    "output": {"type": "string"},
    "tokens_used": COUNT,
    "evaluation_score": SHARE,
    "evaluation_passed": {"type": "boolean"},
    "evaluation_details": {"type": "object"},
    "latency_ms": {"type": "number", "minimum": 0},
    "status": {"enum": ["completed", "failed"]},
    "error_message": {"type": ["string", "null"]},
}
DECISION = {
    "request_id": TEXT,
    "task_type": TEXT,
    "selected_provider": TEXT,
    "selected_model": TEXT,
    "selected_tier": TEXT,
    "reasons": {"type": "array", "items": TEXT},
    "fallback_chain": {"type": "array", "items": TEXT},
    "rejected": {"type": "object", "additionalProperties": TEXT},
    "latency_ms": {"type": "number", "minimum": 0},
    "cost_estimate": {"type": "number", "minimum": 0},
}
PASSAGE = {"chunk_id": TEXT, "document_id": TEXT, "title": {"type": "string"}, "text": TEXT}
PACK = {
    "context_pack_id": TEXT,
    "bundle_hash": TEXT,
    "primary": {"type": "object", "properties": PASSAGE, "required": list(PASSAGE), "additionalProperties": False},
    "supporting": {
        "type": "array",
        "items": {"type": "object", "properties": PASSAGE, "required": list(PASSAGE), "additionalProperties": False},
    },
    "metadata": {"type": "object"},
}
PACKS = "/df/rag/context-pack"
HEALTH = "/health"
Body = dict[str, Any]


class Fault(StrEnum):
    """What the next call meets instead of an answer."""

    SERVER_ERROR = "500"
    UNPROCESSABLE = "422"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    NOT_ACCEPTABLE = "406"
    TOO_MANY = "429"
    CONFLICT = "409"
    SILENCE = "silence"
    MALFORMED = "malformed"
    MISSING_FIELDS = "missing_fields"  # an empty object
    MISSHAPEN = "misshapen"  # right names, wrong types
    HALF = "half"  # the connection ends in the middle of the body
    HUGE = "huge"  # a body without end
    TRICKLE = "trickle"  # a byte now and then, for ever
    HALF_A_LIST = "half a list"  # of a list only every other record is taken and named
    CLOSED = "closed"
    REDIRECT = "302"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A call that takes a body: where it is kept, by which id, and what its fields must be."""

    path: str
    kept_in: str
    id_field: str
    fields: Mapping[str, object]


ENDPOINTS = (
    Endpoint(path="/api/v1/model-outcomes", kept_in="outcomes", id_field="outcome_id", fields=OUTCOME),
    Endpoint(path="/api/neuroforge/inferences", kept_in="inferences", id_field="inference_id", fields=INFERENCE),
    Endpoint(path="/api/neuroforge/routing-decisions", kept_in="decisions", id_field="request_id", fields=DECISION),
    Endpoint(path=PACKS, kept_in="packs", id_field="context_pack_id", fields=PACK),
)


@dataclass
class LoopbackDataForge:
    """What it got, by id. `fail_next` queues faults: each call takes one; `fault` meets every call until it is None."""

    url: str = ""
    outcomes: dict[str, Body] = field(default_factory=dict)
    inferences: dict[str, Body] = field(default_factory=dict)
    decisions: dict[str, Body] = field(default_factory=dict)
    packs: dict[str, Body] = field(default_factory=dict)
    versions: tuple[str, ...] = ("1",)
    fault: Fault | None = None
    takes_lists: bool = False
    lists: list[int] = field(default_factory=list)  # lengths of those taken
    order: list[str] = field(default_factory=list)  # ids of outcomes as they came
    held: asyncio.Event | None = None  # pack calls wait for it, when there is one
    calls: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    arrived: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    problems: list[str] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    down: Callable[[], bool] = lambda: False
    _faults: deque[tuple[Fault, Mapping[str, str]]] = field(default_factory=deque)

    def fail_next(self, *faults: Fault, headers: Mapping[str, str] | None = None) -> None:
        """Let the next calls fail, one fault each."""
        self._faults.extend((fault, headers or {}) for fault in faults)

    def put_pack(self, pack_id: str, primary: str, *supporting: str) -> str:
        """Keep a pack as a curator would change it; returns its version."""
        pack: Body = {
            "primary": a_passage(f"{pack_id}:main", primary),
            "supporting": [a_passage(f"{pack_id}:{at}", text) for at, text in enumerate(supporting)],
            "metadata": {"curator": "loopback"},
        }
        pack["bundle_hash"] = hashlib.sha256(json.dumps(pack).encode()).hexdigest()[:16]
        self.packs[pack_id] = {"context_pack_id": pack_id, **pack}
        return str(pack["bundle_hash"])

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Answer a `GET /health`."""
        self.arrived[HEALTH] += 1
        return web.json_response({"status": "ok"}) if self.fault is None else await _failed(request, self.fault, {})

    async def pack(self, request: web.Request) -> web.StreamResponse:
        """Answer a `GET /df/rag/context-pack/{context_pack_id}`."""
        pack_id = request.match_info["pack_id"]
        self.arrived[pack_id] += 1
        found = self.packs.get(pack_id)  # before the wait: what a slow answer holds may have changed meanwhile
        if self.held is not None:
            await self.held.wait()
        if (refused := await self._refused(request)) is not None:
            return refused
        return web.json_response({"detail": "no such pack"}, status=404) if found is None else web.json_response(found)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take a body, or a list of them, each once however often it comes."""
        endpoint = next(each for each in ENDPOINTS if each.path == request.path)
        halved = bool(self._faults) and self._faults[0][0] is Fault.HALF_A_LIST and bool(self._faults.popleft())
        if (refused := await self._refused(request)) is not None:
            return refused
        body = await request.json()
        if not isinstance(body, list):
            status, said = self._taken(endpoint, body)
            return web.json_response(said, status=status)
        if not self.takes_lists:
            return web.json_response({"detail": "one record a call"}, status=415)
        self.lists.append(len(body))
        results = [self._taken(endpoint, one) for one in body[:: 2 if halved else 1]]
        return web.json_response({"results": [{**said, "status": status} for status, said in results]}, status=207)

    def _taken(self, endpoint: Endpoint, body: Body) -> tuple[int, Body]:
        schema = {
            "type": "object",
            "properties": endpoint.fields,
            "required": list(endpoint.fields),
            "additionalProperties": False,
        }
        problems = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(body)]
        named = {endpoint.id_field: body.get(endpoint.id_field)}
        if problems:
            self.problems += problems
            return 422, {"detail": problems, **named}
        taken: dict[str, Body] = getattr(self, endpoint.kept_in)
        known = body[endpoint.id_field] in taken
        taken.setdefault(body[endpoint.id_field], body)
        if endpoint.kept_in == "outcomes" and not known:
            self.order.append(body["outcome_id"])
        return 200 if known else 201, named

    async def _refused(self, request: web.Request) -> web.StreamResponse | None:
        self.calls.append((request.path, dict(request.headers)))
        self.connections.add(request.transport)
        if (fault := Fault.SERVER_ERROR if self.down() else self.fault) is not None:
            return await _failed(request, fault, {})
        if self._faults:
            return await _failed(request, *self._faults.popleft())
        if request.headers.get("X-API-Key") != API_KEY:
            return web.json_response({"detail": "unknown key"}, status=401)
        wanted = request.headers.get("Accept-Version")
        if not wanted:
            return web.json_response({"detail": "Accept-Version is missing"}, status=400)
        if wanted not in self.versions:
            return web.json_response({"versions": self.versions}, status=406)
        return None


def a_passage(chunk_id: str, text: str) -> Body:
    """Return a passage as DataForge has them."""
    return {"chunk_id": chunk_id, "document_id": chunk_id.partition(":")[0], "title": "", "text": text}


async def _failed(request: web.Request, fault: Fault, headers: Mapping[str, str]) -> web.StreamResponse:
    if fault is Fault.SILENCE:
        await asyncio.Event().wait()
    if fault is Fault.CLOSED and request.transport is not None:
        request.transport.close()
    if fault is Fault.MALFORMED:
        return web.Response(text="<html>a proxy's page", status=201, content_type="text/html")
    if fault is Fault.MISSING_FIELDS:
        return web.json_response({})
    if fault is Fault.MISSHAPEN:
        return web.json_response({"primary": 7, "supporting": {"text": []}, "metadata": "none"})
    if fault in {Fault.HALF, Fault.HUGE, Fault.TRICKLE}:
        return await _endless(request, fault)
    status = int(fault) if fault.isdigit() else 500
    return web.json_response({"detail": "as told"}, status=status, headers=headers)


async def _endless(request: web.Request, fault: Fault) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    await answer.write(b'{"primary": {"text": "half a sen')
    while fault is Fault.HUGE:
        await answer.write(b"x" * 65_536)
    while fault is Fault.TRICKLE:
        await answer.write(b"x")
        await asyncio.sleep(0.005)
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()
    return answer


@contextlib.asynccontextmanager
async def loopback_dataforge() -> AsyncIterator[LoopbackDataForge]:
    """Serve on a free port of loopback."""
    server = LoopbackDataForge()
    app = web.Application()
    app.router.add_get(HEALTH, server.health)
    app.router.add_get(PACKS + "/{pack_id}", server.pack)
    for endpoint in ENDPOINTS:
        app.router.add_post(endpoint.path, server.take)
    async with on_loopback(app) as server.url:
        yield server
