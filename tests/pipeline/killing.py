"""Kill -9 at an await: a unit dies while the handler of one of its stages waits for the n-th time."""

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Self

from topology.memory import MemoryPipeline
from topology.units import Unit


class Watched(Coroutine[Any, Any, Any]):
    """A coroutine that says when it waits."""

    def __init__(self, inner: Coroutine[Any, Any, Any], assassin: "Assassin") -> None:
        self._inner = inner
        self._assassin = assassin

    def send(self, value: Any) -> Any:  # noqa: ANN401 - as the coroutine's
        waits_for = self._inner.send(value)
        self._assassin.saw_a_wait()
        return waits_for

    def throw(self, *error: Any) -> Any:  # noqa: ANN401 - as the coroutine's
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()


class Assassin:
    """Counts the waits of a stage and kills its unit at one of them, once.

    What its producer held is lost, or with `lands` reaches the log although nobody lives to hear of it.
    """

    def __init__(
        self, pipeline: MemoryPipeline, unit: Unit, stage: str, *, at: int | None, lands: bool = False
    ) -> None:
        self.waits = 0
        self._pipeline = pipeline
        self._unit = unit
        self._stage = stage
        self._at = at
        self._lands = lands

    def __enter__(self) -> Self:
        asyncio.get_running_loop().set_task_factory(self._task)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().set_task_factory(None)

    def saw_a_wait(self) -> None:
        task = asyncio.current_task()
        if task is None or not task.get_name().startswith(f"{self._stage}@"):  # named after it is made
            return
        self.waits += 1
        if self.waits == self._at:
            self._pipeline.crash(self._unit, lands=self._lands)

    def _task(self, loop: asyncio.AbstractEventLoop, coro: Any, **named: Any) -> "asyncio.Task[Any]":  # noqa: ANN401 - asyncio's signature
        return asyncio.Task(Watched(coro, self), loop=loop, **named)
