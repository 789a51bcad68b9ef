"""Identical work under way is done once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Who asks for what is already being made waits for it.

    The work goes on while anybody waits and is cancelled when nobody does any more. A failure is that of all who
    waited; nothing of it is kept for the next.
    """

    def __init__(self) -> None:
        self._flights: dict[str, tuple[asyncio.Task[T], list[object]]] = {}

    def __len__(self) -> int:
        """Return how much is under way."""
        return len(self._flights)

    def __contains__(self, key: str) -> bool:
        """Tell whether the work of the key is under way."""
        return key in self._flights

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return what the work of the key returns, and whether somebody who waited for longer is told it too. Raises what it raises."""
        if key not in self._flights:
            self._flights[key] = (asyncio.ensure_future(_made(work)), [])
            self._flights[key][0].add_done_callback(lambda _: self._flights.pop(key, None))
        task, waiting = self._flights[key]
        me = object()
        waiting.append(me)
        try:
            return await asyncio.shield(task), waiting[0] is not me
        finally:
            if not task.done():
                waiting.remove(me)
                if not waiting:
                    self._flights.pop(key, None)  # who comes now begins anew
                    task.cancel()


async def _made(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
