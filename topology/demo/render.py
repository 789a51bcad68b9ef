"""How the demo looks: rich renderables made from plain values. Nothing here waits, reads a clock or prints."""

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from rich.align import Align
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.rule import Rule
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from schemas.records import Result, Score, ScoreStatus, Status
from topology.demo.journeys import PATH, Journey, Step, Story
from topology.demo.questions import Asked

COLOURS = {
    "admit": "#8da0cb",
    "embed": "#66c2a5",
    "retrieve": "#a6d854",
    "compose": "#ffd92f",
    "route": "#fc8d62",
    "evaluate": "#e78ac3",
    "publish": "#b3b3b3",
    "transcribe": "#e5c494",
    "synthesize": "#80b1d3",
}
STATUS = {
    Status.OK: "green",
    Status.DEGRADED: "yellow",
    Status.REJECTED: "cyan",
    Status.FAILED: "red",
    Status.EXPIRED: "red",
}
SCORE_WIDTH = 12


def printable(text: str) -> str:
    """Return text that cannot move the cursor or colour the terminal: control and format characters are replaced."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in {"Cc", "Cf", "Cs"} else "\ufffd" for c in text)


def milliseconds(ms: float) -> str:
    """Return a duration as people write it."""
    if ms >= 1000:  # noqa: PLR2004 - a second
        return f"{ms / 1000:.2f} s"
    return f"{_short(ms)} ms"


def _short(ms: float) -> str:
    return f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}"  # noqa: PLR2004 - below, a decimal is of interest


class StageBar:
    """The stages side by side, as wide as they took long; each at least one cell."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw one line of the width given; neighbours differ in shape where there are no colours."""
        shapes = "=-" if options.ascii_only else "━━" if console.color_system else "━╌"
        widths = shares([step.ms for step in self._steps], options.max_width)
        for place, (step, cells) in enumerate(zip(self._steps, widths, strict=False)):
            yield Segment(shapes[place % 2] * cells, Style.parse(colour(step.stage)))
        yield Segment.line()


class Meter:
    """A value between 0 and 1 as a small bar."""

    def __init__(self, value: float, style: str, width: int = SCORE_WIDTH) -> None:
        self._value, self._style, self._width = min(1.0, max(0.0, value)), style, width

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw one line of at most the width given."""
        width = min(self._width, options.max_width)
        cells = round(self._value * width)
        full, rest = ("#", ".") if options.ascii_only else ("━", "╌")
        yield Segment(full * cells, Style.parse(self._style))
        yield Segment(rest * (width - cells), Style.parse("dim"))
        yield Segment.line()

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        """Say how wide it wants to be."""
        return Measurement(min(4, options.max_width), min(self._width, options.max_width))


def shares(parts: Sequence[float], width: int) -> Sequence[int]:
    """Split `width` cells in proportion to `parts`, at least one each as long as there are enough."""
    if not parts:
        return ()
    spare, total = max(0, width - len(parts)), sum(parts)
    edges = [0]
    done = 0.0
    for part in parts:
        done += part
        edges.append(round(spare * done / total) if total else 0)
    return [1 + after - before for before, after in pairwise(edges)][:width]


def colour(stage: str) -> str:
    """Return the colour of a stage, the same wherever it is shown."""
    return COLOURS.get(stage, "white")


def introduction() -> RenderableType:
    """Return what is about to be seen; the colours are those of the bars below."""
    path = Text(" → ", style="dim").join(
        [
            Text("texts", style="bold"),
            *(Text(stage, style=colour(stage)) for stage in PATH),
            Text("results", style="bold"),
        ]
    )
    return Group(
        Text("forgestream: a question on Kafka in, a grounded answer out", style="bold"),
        path,
        Text(
            "Nothing is simulated, and nothing is left behind but the spoken answer, if there is a voice.", style="dim"
        ),
        Text(),
    )


def heading(title: str, about: str) -> RenderableType:
    """Return what stands above an act."""
    return Group(
        Text(),
        Rule(Text(f" {printable(title)} ", style="bold"), style="cyan", align="left"),
        Text(printable(about), style="dim"),
        Text(),
    )


def request(asked: Asked, journey: Journey) -> RenderableType:
    """Return the panel of a finished request."""
    result, question = journey.result, asked.question
    status = result.status if result else None
    border = STATUS.get(status, "red") if status else "red"
    body: list[RenderableType] = [Text(printable(question.text).strip() or "(no text)", style="bold")]
    if question.note:
        body.append(Text(question.note, style="dim italic"))
    body.append(Text())
    body.append(_ending(result))
    if journey.steps:
        bar = [StageBar(journey.steps)] if len(journey.steps) > 1 else []
        body += [Text(), *bar, legend(journey.steps)]
    if result is not None and (result.scores or result.sources):
        body += [Text(), _evidence(result)]
    return Panel(
        Group(*body),
        title=Text(f" {question.number} · {printable(question.domain)} ", style="bold"),
        title_align="left",
        subtitle=Text(f" {status or 'no result'} · {milliseconds(journey.total_ms)} ", style=border),
        subtitle_align="right",
        border_style=border,
        padding=(0, 2),
    )


def legend(steps: Sequence[Step]) -> Text:
    """Return the stages by name with their milliseconds, in their colours."""
    parts = [Text.assemble((step.stage, colour(step.stage)), f" {_short(step.ms)}") for step in steps]
    return Text(" · ", style="dim").join(parts) + Text(" ms", style="dim") if parts else Text()


def _ending(result: Result | None) -> RenderableType:
    if result is None:
        return Text("No terminal result arrived within the deadline.", style="red")
    if not result.errors:
        return Text(printable(result.text))
    lines: list[RenderableType] = [Text.assemble(("✗ ", "red"), printable(error.message)) for error in result.errors]
    return Group(*lines, *([Text(), _risk(result)] if result.risk else []))


def _risk(result: Result) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(Text("risk", style="dim"), Meter(result.risk, "red"), Text(f"{result.risk:.2f}", style="bold"))
    return grid


def _evidence(result: Result) -> RenderableType:
    left = Table.grid(padding=(0, 1, 0, 0))
    left.add_column(justify="right", width=4, style="cyan")
    left.add_column(overflow="fold")
    for source in result.sources:
        left.add_row(f"{source.relevance:.2f}", printable(source.title))
    found = left if result.sources else Text("none that is relevant enough", style="yellow")
    right = Table.grid(padding=(0, 1, 0, 0))
    for score in result.scores:
        right.add_row(Text(score.name.replace("_", " "), style="dim"), *_score(score))
    if result.overall is not None:
        value = Text(f"{result.overall:.2f}", style="bold")
        right.add_row(Text("overall", style="bold"), Meter(result.overall, "cyan"), value)
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    grid.add_column(ratio=3)
    grid.add_column(ratio=2)
    grid.add_row(
        Group(Text("sources, with their relevance", style="dim"), found, Text(), _model(result)), Align.right(right)
    )
    return grid


def _score(score: Score) -> tuple[RenderableType, RenderableType]:
    if score.status is not ScoreStatus.SCORED:
        return Text(score.status, style="dim"), Text("-", style="dim")
    return Meter(score.value, grade(score.value)), Text(f"{score.value:.2f}")


def grade(value: float) -> str:
    """Return the colour of a value between 0 and 1."""
    return "green" if value >= 0.7 else "yellow" if value >= 0.4 else "red"  # noqa: PLR2004 - traffic lights


def _model(result: Result) -> Text:
    if result.decision is None:
        return Text()
    decision = result.decision
    model = decision.model if decision.model == decision.provider else f"{decision.model} ({decision.provider})"
    speed = f"{result.output_tokens} tokens in {milliseconds(result.latency_ms)}"
    lines = [f"{model}, {speed}", f"chosen: {', '.join(decision.reasons).replace('_', ' ')}"]
    text = Text("\n".join(printable(line) for line in lines), style="dim")
    for what in result.degradations:
        text.append(f"\ndegraded: {printable(what).replace('_', ' ')}", style="not dim yellow")
    return text


def underway(script: Sequence[Asked], story: Story) -> RenderableType:
    """Return the requests that are on their way, one line each; redrawn while the demo runs."""
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(width=2, justify="right", style="dim")
    table.add_column(ratio=5, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=6, no_wrap=True, overflow="ellipsis")
    for asked in script:
        journey = story.journey(asked.request_id)
        if journey.result is None:
            writing = Text(printable(journey.writing[-60:]).replace("\n", " "), style="italic")
            where: RenderableType = writing if journey.writing.strip() else legend(journey.steps)
            table.add_row(str(asked.question.number), printable(asked.question.text).strip() or "(no text)", where)
    return Group(Rule(Text("on the way", style="dim"), style="dim"), table)
