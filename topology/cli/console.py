"""How commands speak: tables and JSON on standard output, progress and problems on standard error."""

import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.settings import Settings
from topology.cli.printable import printable, printable_json
from topology.plain import to_json

T = TypeVar("T")

FAILED = 1
CANNOT_START = 2

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


def out() -> Console:
    """Return standard output, as wide as the terminal, or as wide as needed when it is piped."""
    console = Console(file=sys.stdout, highlight=False)
    return console if console.is_terminal else Console(file=sys.stdout, highlight=False, width=240)


def err() -> Console:
    """Return standard error, for progress and problems."""
    return Console(file=sys.stderr, highlight=False)


def settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsInvalid: with every problem at once.
    """
    return Settings.read(os.environ)


def print_json(values: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print plain values or records as indented JSON."""
    sys.stdout.write(printable_json(to_json(values, indent=True)) + "\n")


def print_json_line(values: Any) -> None:  # noqa: ANN401 - as `print_json`
    """Print plain values or a record as one line of JSON, at once."""
    sys.stdout.write(printable_json(to_json(values)) + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that reads well on a terminal and in a pipe. A column whose name ends in `#` holds numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column.endswith("#")
        table.add_column(
            column.removesuffix("#"), justify="right" if number else "left", overflow="fold", no_wrap=number
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # cells are text, never markup
    out().print(table)


def say(text: str) -> None:
    """Tell the person at the terminal what is going on."""
    err().print(printable(text), markup=False, soft_wrap=True)


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run asynchronous work to its end; Ctrl-C cancels it and lets it clean up."""
    import asyncio  # noqa: PLC0415 - `--help` needs no event loop

    return asyncio.run(work())
