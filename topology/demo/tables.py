"""The tables at the end of the demo: rich renderables made from plain values."""

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from schemas.records import CircuitState, Ranking
from topology.demo.expect import Check
from topology.demo.journeys import DeadLetter, Story
from topology.demo.questions import Asked
from topology.demo.render import SCORE_WIDTH, STATUS, Meter, grade, milliseconds, printable

TABLE = {
    "box": box.SIMPLE_HEAD,
    "header_style": "dim",
    "padding": (0, 1),
    "pad_edge": False,
    "expand": True,
    "title_style": "bold",
}


def champions(rankings: Mapping[str, Ranking], *, min_samples: int) -> RenderableType:
    """Return the models of every cell, the leader marked."""
    title = f"Champions: who leads each cell; a model may lead from {min_samples} verdicts on"
    table = Table(title=title, title_justify="left", **TABLE)  # type: ignore[arg-type]
    table.add_column("cell")
    table.add_column("model")
    table.add_column("moving score", width=SCORE_WIDTH)
    table.add_column("", justify="right")
    table.add_column("verdicts", justify="right")
    table.add_column("why", ratio=1)
    for cell, ranking in sorted(rankings.items()):
        for standing in sorted(ranking.standings, key=lambda s: s.score, reverse=True):
            leads = standing.model == ranking.champion
            table.add_row(
                printable(cell),
                Text(f"{'★ ' if leads else '  '}{printable(standing.model)}", style="bold" if leads else ""),
                Meter(standing.score, grade(standing.score)),
                f"{standing.score:.2f}",
                str(standing.samples),
                Text(printable(ranking.reason) if leads else "", style="dim"),
            )
    return table


def circuits(states: Mapping[str, CircuitState]) -> RenderableType:
    """Return every dependency that was called, and whether its circuit lets calls through."""
    table = Table(title="Circuits: the breakers of what is called outside", title_justify="left", **TABLE)  # type: ignore[arg-type]
    for name in ("dependency", "circuit", "failures in a row", "opened", "last error"):
        table.add_column(name)
    for name, state in sorted(states.items()):
        phase = state.forced or ("open" if state.open_until else "closed")
        shown = Text(str(phase), style="red" if state.open_until or state.forced else "green")
        error = printable(state.last_error_code or "-")
        table.add_row(printable(name), shown, str(state.failures), f"{state.opened} times", error)
    return table


def dead_letters(letters: Iterable[DeadLetter]) -> RenderableType:
    """Return what could not be handled, with the bytes as they came."""
    table = Table(title="Dead letters: kept byte for byte, ready to be redriven", title_justify="left", **TABLE)  # type: ignore[arg-type]
    table.add_column("came from", no_wrap=True)
    table.add_column("stage")
    table.add_column("error", style="red")
    table.add_column("why, and its first bytes", ratio=1)
    for letter in letters:
        why = Group(Text(printable(letter.message)), Text(printable(repr(letter.value[:72])), style="dim"))
        place = f"{letter.topic}-{letter.partition}@{letter.offset}"
        table.add_row(printable(place), printable(letter.stage), printable(letter.error_code), why)
    return table


def feedback(story: Story, *, topic: str, dataforge_url: str) -> Text:
    """Return where feedback went."""
    count = (f"{len(story.feedback)} feedback records", "bold")
    return Text.assemble(count, f" on topic `{topic}`, delivered to the demo's DataForge at {dataforge_url}")


def summary(script: Sequence[Asked], story: Story) -> RenderableType:
    """Return one line for each question."""
    table = Table(
        title="Every question and how it ended",
        title_justify="left",
        caption="overhead: everything but the call of the model, waiting for a turn included",
        caption_justify="left",
        **TABLE,  # type: ignore[arg-type]
    )
    table.add_column("", justify="right", style="dim")
    table.add_column("question", ratio=1, no_wrap=True, overflow="ellipsis")
    for name in ("status", "model"):
        table.add_column(name, no_wrap=True)
    table.add_column("score", justify="right")
    table.add_column("total", justify="right", no_wrap=True)
    table.add_column("overhead", justify="right", no_wrap=True)
    for asked in script:
        journey = story.journey(asked.request_id)
        result = journey.result
        rest = journey.total_ms - (result.latency_ms if result else 0.0)
        table.add_row(
            str(asked.question.number),
            printable(asked.question.text).strip() or Text("(no text)", style="dim"),
            Text(result.status if result else "none", style=STATUS[result.status] if result else "red"),
            printable(result.decision.model) if result and result.decision else "-",
            f"{result.overall:.2f}" if result and result.overall is not None else "-",
            milliseconds(journey.total_ms),
            milliseconds(max(0.0, rest)),
        )
    return table


def verdict(checks: Sequence[Check]) -> RenderableType:
    """Return what was expected, and whether it happened."""
    lines: list[RenderableType] = []
    for check in checks:
        mark = ("✓ ", "green") if check.met else ("✗ ", "bold red")
        lines.append(Text.assemble(mark, check.name, (f"  {printable(check.detail)}" if check.detail else "", "red")))
    failed = sum(not check.met for check in checks)
    end = Text("Everything happened as it should", style="bold green")
    if failed:
        end = Text(f"{failed} of {len(checks)} expectations were not met", style="bold red")
    return Group(Text("Expected of this run", style="italic"), Padding(Group(*lines), (1, 0, 1, 2)), end)
