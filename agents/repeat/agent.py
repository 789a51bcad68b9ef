"""Wiring of repeat."""

import asyncio

from agents.repeat import rules
from schemas.records import Duplicate, Request, Result
from streams.app import App
from streams.emit import Emit
from streams.settings import AdmitSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Duplicate],
    results: Topic[Result],
    requests: Topic[Request],
    settings: AdmitSettings,
) -> None:
    """Answer repetitions. Both topics have the key of the first request, so its result comes to this worker.

    Nothing is stored: a repetition is acknowledged when it is answered. One whose first has no result in time, or was answered before a
    restart, goes on as a request of its own.
    """
    recent = rules.Recent()
    waiting: dict[str, asyncio.Future[Result]] = {}

    async def first_result(first: str) -> Result:
        if (result := recent.of(first)) is not None:
            return result
        expected = waiting.setdefault(first, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(settings.duplicate_wait_s):
                return await asyncio.shield(expected)
        finally:
            waiting.pop(first, None)

    @app.stage(reads, results, name="repeat")
    async def repeat(seen: Duplicate | Result, emit: Emit) -> None:
        if isinstance(seen, Result):
            recent.keep(seen)
            if (expected := waiting.get(rules.asked(seen.origin))) is not None and not expected.done():
                expected.set_result(seen)
            return
        try:
            emit(results, rules.shared(seen, await first_result(rules.first(seen))))
        except TimeoutError:
            emit(requests, seen.request)
