"""A bar for long work that can be interrupted: how much is done, how fast, and how long it will still take."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from topology.cli.progress import Bars


class Rate(ProgressColumn):
    """Requests per second, over the last while."""

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class Pace(Bars):
    """Shows one bar per variant on standard error; on anything but a terminal a line when one ends."""

    def __init__(self, *, quiet: bool = False) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn()
        super().__init__(*columns, quiet=quiet, transient=False)
        self._tasks: dict[int, TaskID] = {}

    def say(self, what: str) -> None:
        """Print a line."""
        if not self._quiet:
            self._lines.print(what, markup=False, soft_wrap=True)

    def advance(self, number: int, name: str, done: int, total: int) -> None:
        """Move the bar of a variant; its first move is what was done before."""
        if number not in self._tasks:
            self._tasks[number] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[number], completed=done)
        if done == total and not self._lines.is_terminal:
            self.say(f"{name}: {done:,} requests done")
