"""A DataForge on loopback: real sockets, every field of the contract checked, idempotent, faults on demand."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

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
Body = dict[str, Any]


class Fault(StrEnum):
    """What the next call meets instead of an answer."""

    SERVER_ERROR = "500"
    UNPROCESSABLE = "422"
    UNAUTHORIZED = "401"
    TOO_MANY = "429"
    CONFLICT = "409"
    SILENCE = "silence"
    MALFORMED = "malformed"
    CLOSED = "closed"
    REDIRECT = "302"


@dataclass
class LoopbackDataForge:
    """What it got, by id. `fail_next` queues faults: each call takes one."""

    url: str = ""
    outcomes: dict[str, Body] = field(default_factory=dict)
    inferences: dict[str, Body] = field(default_factory=dict)
    calls: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    _faults: deque[tuple[Fault, Mapping[str, str]]] = field(default_factory=deque)

    def fail_next(self, *faults: Fault, headers: Mapping[str, str] | None = None) -> None:
        """Let the next calls fail, one fault each."""
        self._faults.extend((fault, headers or {}) for fault in faults)

    async def outcome(self, request: web.Request) -> web.StreamResponse:
        """Take a `POST /api/v1/model-outcomes`."""
        return await self._take(request, self.outcomes, "outcome_id", OUTCOME)

    async def inference(self, request: web.Request) -> web.StreamResponse:
        """Take a `POST /api/neuroforge/inferences`."""
        return await self._take(request, self.inferences, "inference_id", INFERENCE)

    async def _take(
        self, request: web.Request, taken: dict[str, Body], id_field: str, fields: Mapping[str, object]
    ) -> web.StreamResponse:
        self.calls.append((request.path, dict(request.headers)))
        self.connections.add(request.transport)
        if self._faults:
            return await _failed(request, *self._faults.popleft())
        if request.headers.get("X-API-Key") != API_KEY:
            return web.json_response({"detail": "unknown key"}, status=401)
        if not request.headers.get("Accept-Version"):
            return web.json_response({"detail": "Accept-Version is missing"}, status=400)
        body = await request.json()
        schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
        problems = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(body)]
        if problems:
            self.problems += problems
            return web.json_response({"detail": problems}, status=422)
        known = body[id_field] in taken
        taken.setdefault(body[id_field], body)
        return web.json_response({id_field: body[id_field]}, status=200 if known else 201)


async def _failed(request: web.Request, fault: Fault, headers: Mapping[str, str]) -> web.StreamResponse:
    if fault is Fault.SILENCE:
        await asyncio.Event().wait()
    if fault is Fault.CLOSED and request.transport is not None:
        request.transport.close()
    if fault is Fault.MALFORMED:
        return web.Response(text="<html>a proxy's page", status=201, content_type="text/html")
    status = int(fault) if fault.isdigit() else 500
    return web.json_response({"detail": "as told"}, status=status, headers=headers)


@contextlib.asynccontextmanager
async def loopback_dataforge() -> AsyncIterator[LoopbackDataForge]:
    """Serve on a free port of loopback."""
    server = LoopbackDataForge()
    app = web.Application()
    app.router.add_post("/api/v1/model-outcomes", server.outcome)
    app.router.add_post("/api/neuroforge/inferences", server.inference)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
