"""A schema registry on loopback that speaks the part of Confluent's REST API producers and consumers use."""

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tests.loopback.port import on_loopback

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
FIRST_ID = 100_001  # so that an id of the lock file is never taken for one of the registry


class FakeRegistry:
    """Subjects, versions and ids as Confluent's server keeps them; `fault` answers in its place."""

    def __init__(self) -> None:
        self.url = ""
        self.schemas: dict[int, str] = {}
        self.subjects: defaultdict[str, list[int]] = defaultdict(list)
        self.compatibility: dict[str, str] = {}
        self.calls: list[str] = []
        self.fault: Answer | None = None
        self.password: str | None = None
        self.refuses_config = False
        self.incompatible: set[str] = set()

    def add(self, schema: object) -> int:
        """Store a schema somebody else registered; returns its id."""
        return self._id_of(json.dumps(schema))

    def app(self) -> web.Application:
        """Return the server's routes."""
        app = web.Application(middlewares=[self._watch])
        app.router.add_post("/subjects/{subject}/versions", self._register)
        app.router.add_post("/subjects/{subject}", self._look_up)
        app.router.add_get("/schemas/ids/{id}", self._schema)
        app.router.add_put("/config/{subject}", self._configure)
        return app

    @web.middleware
    async def _watch(self, request: web.Request, handler: Answer) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path}")
        if self.fault is not None:
            return await self.fault(request)
        expected = f"Basic {base64.b64encode(f'user:{self.password}'.encode()).decode()}"
        if self.password is not None and request.headers.get("Authorization") != expected:
            return error(401, 401, "Unauthorized")
        return await handler(request)

    async def _register(self, request: web.Request) -> web.Response:
        subject = request.match_info["subject"]
        if subject in self.incompatible:
            return error(409, 409, f"Schema being registered is incompatible with an earlier schema for {subject}")
        found = self._id_of((await request.json())["schema"])
        if found not in self.subjects[subject]:
            self.subjects[subject].append(found)
        return answer({"id": found})

    async def _look_up(self, request: web.Request) -> web.Response:
        subject, schema = request.match_info["subject"], (await request.json())["schema"]
        for version, number in enumerate(self.subjects[subject], start=1):
            if self.schemas[number] == schema:
                return answer({"subject": subject, "id": number, "version": version, "schema": schema})
        return error(404, 40403, "Schema not found")

    async def _schema(self, request: web.Request) -> web.Response:
        schema = self.schemas.get(int(request.match_info["id"]))
        return error(404, 40403, "Schema not found") if schema is None else answer({"schema": schema})

    async def _configure(self, request: web.Request) -> web.Response:
        if self.refuses_config:
            return error(403, 40301, "Forbidden")
        self.compatibility[request.match_info["subject"]] = (await request.json())["compatibility"]
        return answer(await request.json())

    def _id_of(self, schema: str) -> int:
        """Return the id of a schema; equal schemas share one, whatever their subject."""
        for number, known in self.schemas.items():
            if json.loads(known) == json.loads(schema):
                return number
        number = FIRST_ID + len(self.schemas)
        self.schemas[number] = schema
        return number


@asynccontextmanager
async def a_registry() -> AsyncIterator[FakeRegistry]:
    """Run a registry on a free port of loopback."""
    registry = FakeRegistry()
    async with on_loopback(registry.app()) as registry.url:
        yield registry


def answer(body: object, status: int = 200) -> web.Response:
    """Return an answer as the real server types it."""
    return web.Response(text=json.dumps(body), status=status, content_type=MEDIA_TYPE)


def error(status: int, code: int, message: str) -> web.Response:
    """Return an error as the real server writes it."""
    return answer({"error_code": code, "message": message}, status)


def says(text: str, status: int = 200) -> Answer:
    """Return a fault: this text, whatever is asked."""

    async def fault(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status)

    return fault


async def hangs(request: web.Request) -> web.StreamResponse:
    """Be a fault: never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Be a fault: close the connection in the middle of the answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
