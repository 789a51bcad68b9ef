"""A DataForge on loopback that can go away: it takes what the contract allows, each id once, and keeps count."""

from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from topology.embedded.ports import free_ports
from topology.embedded.properties import HOST

INFERENCES, OUTCOMES = "/api/neuroforge/inferences", "/api/v1/model-outcomes"
IDS: Mapping[str, str] = {INFERENCES: "inference_id", OUTCOMES: "outcome_id"}
NEEDED: Mapping[str, frozenset[str]] = {
    INFERENCES: frozenset({"domain", "task_type", "user_query", "model_id", "output", "evaluation_score", "status"}),
    OUTCOMES: frozenset({"context_bundle_id", "model_id", "routing_cell", "reward", "stage", "evidence"}),
}


class LoopbackDataForge:
    """One address for its whole life, whether or not anybody listens there."""

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        self.url = f"http://{HOST}:{self._port}"
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
        return frozenset.intersection(*(frozenset(ids) for ids in self.taken.values()))

    def twice(self) -> frozenset[str]:
        """Return the ids that were delivered more than once."""
        return frozenset(one for ids in self.taken.values() for one, times in ids.items() if times > 1)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.json()
        field = IDS[request.path]
        missing = sorted({field, *NEEDED[request.path]} - body.keys())
        if missing:
            self.refused.append(f"{request.path}: {', '.join(missing)} missing")
            return web.json_response({"detail": self.refused[-1]}, status=422)
        self.taken[request.path][body[field]] += 1
        return web.json_response({field: body[field]}, status=201)
