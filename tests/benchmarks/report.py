"""Tables for people: on the terminal and in docs/benchmarks.md; JSON for machines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from tests.benchmarks.outcome import Line, Spread, Table

INTRODUCTION = """\
# Benchmarks

Written by `make bench`; not edited by hand. Each scenario says when it was measured. Every worker is a process of its own
against the same broker. Runs of the workers alternate. Every output is read back and checked: nothing lost, doubled or
out of order within a key; what was found stands under "faults", added up over the runs. Time is the broker's own (time
stamps of the output topic), from the first output to the last, so starting up does not count. Figures are the median of
the runs, with least and most in brackets. "forgestream is" says how many times better forgestream is by the first
figure. Broker and worker share one machine: read the ratios, not the absolute numbers.

Confluent's Parallel Consumer is not here, since it cannot be used without Java code.
"""


def show(console: Console, table: Table) -> None:
    """Print a scenario as a table."""
    drawn = RichTable(title=f"{table.title}\ntarget: {table.target}", title_justify="left", caption=table.note)
    for column in _columns(table):
        drawn.add_column(column, justify="left" if column in {"worker", "faults"} else "right")
    for line in table.lines:
        drawn.add_row(*_cells(table, line))
    console.print(drawn)


def read(path: Path) -> Sequence[Table]:
    """Return the tables that were written to `path`; none when there is no such file."""
    known = path.with_suffix(".json")
    return [_table(**table) for table in json.loads(known.read_text())["tables"]] if known.exists() else []


def write(path: Path, facts: Mapping[str, str], tables: Sequence[Table]) -> None:
    """Write `path` as Markdown and its neighbour with the suffix .json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_markdown(facts, tables)) + "\n")
    whole = {"facts": dict(facts), "tables": [asdict(table) for table in tables]}
    path.with_suffix(".json").write_text(json.dumps(whole, indent=1) + "\n")


def _table(lines: Sequence[Mapping[str, Any]], **told: str) -> Table:
    return Table(
        lines=tuple(
            Line(**{**line, "figures": {name: Spread(**spread) for name, spread in line["figures"].items()}})
            for line in lines
        ),
        **told,
    )


def _markdown(facts: Mapping[str, str], tables: Sequence[Table]) -> Iterator[str]:
    yield INTRODUCTION
    yield from _row(["what", "value"])
    yield from _row(["---", "---"])
    for name, value in facts.items():
        yield from _row([name, value])
    for table in tables:
        columns = list(_columns(table))
        yield f"\n## {table.title}\n\nTarget: {table.target}. Measured {table.measured}.\n"
        yield from _row(columns)
        yield from _row(["---"] * len(columns))
        for line in table.lines:
            yield from _row(list(_cells(table, line)))
        if table.note:
            yield f"\n{table.note}"


def _row(cells: Sequence[str]) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |"


def _columns(table: Table) -> Iterator[str]:
    yield from ("worker", "records", "runs", *_figures(table), "forgestream is", "faults")


def _figures(table: Table) -> Sequence[str]:
    return list(dict.fromkeys(figure for line in table.lines for figure in line.figures))


def _cells(table: Table, line: Line) -> Iterator[str]:
    yield from (line.worker, f"{line.records:,}", str(line.runs))
    for figure in _figures(table):
        yield _spread(line.figures[figure]) if figure in line.figures else "-"
    yield f"{line.ratio:.2f}x" if line.ratio else "-"
    yield ", ".join(f"{count:,} {fault}" for fault, count in line.faults.items()) or "none"


def _spread(spread: Spread) -> str:
    middle, least, most = (_number(value) for value in (spread.median, spread.least, spread.most))
    return middle if least == most else f"{middle} ({least} to {most})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
