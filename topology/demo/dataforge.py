"""A DataForge on loopback that can go away: it takes what the contract allows, each id once, and keeps count."""

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from streams.clients.dataforge_feedback import PARTS
from streams.clients.dataforge_packs import PACKS
from topology.embedded.ports import free_ports
from topology.embedded.properties import HOST

INFERENCES, DECISIONS, OUTCOMES = (part.path for part in PARTS)
IDS: Mapping[str, str] = {part.path: part.id_field for part in PARTS}
NEEDED: Mapping[str, frozenset[str]] = {
    INFERENCES: frozenset({"domain", "task_type", "user_query", "model_id", "output", "evaluation_score", "status"}),
    DECISIONS: frozenset({"task_type", "selected_provider", "selected_model", "reasons", "fallback_chain", "rejected"}),
    OUTCOMES: frozenset({"context_bundle_id", "model_id", "routing_cell", "reward", "stage", "evidence"}),
}
Body = Mapping[str, Any]


class LoopbackDataForge:
    """One address for its whole life, whether or not anybody listens there. `packs` are the context packs it has, by id."""

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        self.url = f"http://{HOST}:{self._port}"
        self.packs: dict[str, Body] = {}
        self.taken: Mapping[str, Counter[str]] = {path: Counter() for path in IDS}
        self.refused: list[str] = []
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Start to listen."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        await self.stop()

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get(f"{PACKS}{{pack_id}}", self._pack)
        for path in IDS:
            app.router.add_post(path, self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port, reuse_address=True).start()

    async def stop(self) -> None:
        """Close every connection and listen no more; what was taken stays known."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def known(self) -> frozenset[str]:
        """Return the ids of the feedback that has arrived whole."""
        return frozenset(self.taken[INFERENCES]) & frozenset(self.taken[OUTCOMES])

    def twice(self) -> frozenset[str]:
        """Return the ids that were delivered more than once."""
        return frozenset(one for ids in self.taken.values() for one, times in ids.items() if times > 1)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _pack(self, request: web.Request) -> web.Response:
        pack = self.packs.get(request.match_info["pack_id"])
        return web.json_response({"detail": "no such pack"}, status=404) if pack is None else web.json_response(pack)

    async def _take(self, request: web.Request) -> web.Response:
        """Take a record, or a list of them."""
        body = await request.json()
        if not isinstance(body, list):
            status, said = self._taken(request.path, body)
            return web.json_response(said, status=status)
        each = [self._taken(request.path, one) for one in body]
        results = [{**said, "status": int(status)} for status, said in each]
        return web.json_response({"results": results}, status=HTTPStatus.MULTI_STATUS)

    def _taken(self, path: str, body: Body) -> tuple[HTTPStatus, Body]:
        id_field = IDS[path]
        missing = sorted({id_field, *NEEDED[path]} - body.keys())
        if missing:
            self.refused.append(f"{path}: {', '.join(missing)} missing")
            return HTTPStatus.UNPROCESSABLE_ENTITY, {id_field: body.get(id_field), "detail": self.refused[-1]}
        self.taken[path][body[id_field]] += 1
        return HTTPStatus.CREATED, {id_field: body[id_field]}
