"""A bar for long work that can be interrupted: how much is done, how fast, and how long it will still take."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Rate(ProgressColumn):
    """Requests per second, over the last while."""

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class Pace:
    """Shows one bar per variant on standard error; on anything but a terminal a line when one ends."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(file=sys.stderr, highlight=False)
        self._quiet = quiet
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._bars.stop()

    def say(self, what: str) -> None:
        """Print a line."""
        if not self._quiet:
            self._console.print(what, markup=False, soft_wrap=True)

    def advance(self, number: int, name: str, done: int, total: int) -> None:
        """Move the bar of a variant; its first move is what was done before."""
        if number not in self._tasks:
            self._tasks[number] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[number], completed=done)
        if done == total and not self._console.is_terminal:
            self.say(f"{name}: {done:,} requests done")
