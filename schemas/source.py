"""Source code of a function that the program writes: lines, names and fresh variables."""

import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from schemas.records import AtMost


def limit(hint: object) -> tuple[object, int | None]:
    """Split the annotation of a field into its type and the most it may hold."""
    annotation, *notes = typing.get_args(hint)
    return annotation, next((note.size for note in notes if isinstance(note, AtMost)), None)


class Source:
    """A function under construction."""

    def __init__(self, signature: str, names: Mapping[str, object]) -> None:
        self._lines = [f"def made({signature}):"]
        self._names = dict(names)
        self._depth = 1
        self._variables = 0

    def add(self, *lines: str) -> None:
        """Append lines at the present indentation."""
        self._lines.extend(f"{'    ' * self._depth}{line}" for line in lines)

    @contextmanager
    def inside(self, head: str) -> Iterator[None]:
        """Open a block, e.g. `if x:`."""
        self.add(head)
        self._depth += 1
        yield
        self._depth -= 1

    def variable(self) -> str:
        """Return the name of a new local variable."""
        self._variables += 1
        return f"v{self._variables}"

    def constant(self, value: object) -> str:
        """Return the name under which the function sees a value."""
        name = f"c{len(self._names)}"
        self._names[name] = value
        return name

    def function(self) -> Callable[..., Any]:
        """Compile."""
        exec("\n".join(self._lines), self._names)  # noqa: S102 - lines are made of our own field names, never of data
        made: Callable[..., Any] = self._names["made"]  # type: ignore[assignment]  # exec put it there
        return made
