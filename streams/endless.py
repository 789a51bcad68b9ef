"""Work beside the records for as long as its owner is open: pumps, followers, looks at somebody's health.

Nobody waits for such a task, so nobody would hear of its end.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("forgestream.endless")

AGAIN_S = 1.0


class Endless:
    """Work that is begun again when it has ended, and says so.

    Args:
        work: does not return; what it knows lies outside of it.
        name: of the work, for its task and for messages.
        again_s: pause before it begins again.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], *, name: str, again_s: float = AGAIN_S) -> None:
        self._work = work
        self._name = name
        self._again_s = again_s
        self._task: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether it goes on."""
        return self._task is not None

    def start(self) -> None:
        """Begin; does nothing the second time."""
        self._task = self._task or asyncio.create_task(self._kept_up(), name=self._name)

    async def close(self) -> None:
        """Cancel it, and wait for its end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _kept_up(self) -> None:
        while True:
            working = asyncio.create_task(self._work(), name=self._name)
            try:
                await asyncio.wait([working])
            finally:
                working.cancel()
                await asyncio.wait([working])
            error = None if working.cancelled() else working.exception()
            log.error("%s has ended and begins again", self._name, exc_info=error)
            await asyncio.sleep(self._again_s)
