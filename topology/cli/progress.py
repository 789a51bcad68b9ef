"""What is going on while something starts: a line per step that is done, a bar for what takes a while."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Bars:
    """Bars with these columns on standard error, between lines; on anything but a terminal only the lines, when quiet nothing."""

    def __init__(self, *columns: ProgressColumn, quiet: bool, transient: bool) -> None:
        self._quiet = quiet
        self._lines = Console(file=sys.stderr, highlight=False)
        off = quiet or not self._lines.is_terminal
        self._bars = Progress(*columns, console=self._lines, transient=transient, disable=off)

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._bars.stop()


class Steps(Bars):
    """Shows steps."""

    def __init__(self, *, quiet: bool = False) -> None:
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        super().__init__(*columns, quiet=quiet, transient=True)
        self._tasks: dict[str, TaskID] = {}

    def done(self, what: str) -> None:
        """Print a line."""
        if not self._quiet:
            self._lines.print(what, markup=False)

    def progress(self, done: int, total: int, what: str) -> None:
        """Move a bar; the last move of each is a line."""
        self.show(done, total, what)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(what))
            self.done(what)

    def show(self, done: int, total: int, what: str) -> None:
        """Move a bar that goes away with all others and leaves no line."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)

    def finish(self) -> None:
        """Remove what is still shown."""
        self._bars.stop()
