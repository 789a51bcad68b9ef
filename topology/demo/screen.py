"""Where the demo is shown: a terminal that is redrawn, plain text, or JSON lines."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import orjson
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from streams.settings import Settings
from topology.demo import render, tables
from topology.demo.expect import Check
from topology.demo.journeys import Journey, Story
from topology.demo.questions import Asked
from topology.topics import Topics

REDRAWS_PER_S = 12
BYTES = 1_000_000


class Screen(Protocol):
    """What a run of the demo tells."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def doing(self, what: str) -> None:
        """Something has begun that takes a while."""

    def done(self, what: str, facts: Mapping[str, object]) -> None:
        """It has ended."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Something is done in part; bytes when there are very many."""

    def act(self, name: str, title: str, about: str) -> None:
        """An act begins."""

    def moving(self, shown: RenderableType) -> None:
        """What an act shows of itself has changed."""

    def show(self, shown: RenderableType, event: str, facts: Mapping[str, object]) -> None:
        """It will not change any more."""

    def watching(self, script: Sequence[Asked], story: Story) -> None:
        """The requests on the way have moved on."""

    def ended(self, asked: Asked, journey: Journey) -> None:
        """A request has its result, or will not get one."""

    def judged(self, script: Sequence[Asked], story: Story, checks: Sequence[Check], settings: Settings) -> None:
        """The run is over."""

    def stopping(self) -> None:
        """What remains is to stop everything."""

    def staying(self, how_to: Sequence[str]) -> None:
        """All stays up until it is interrupted; `how_to` are commands for another terminal."""


class RichScreen:
    """People. What is finished scrolls up, what is under way stays at the bottom and is redrawn."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, refresh_per_second=REDRAWS_PER_S)
        self._said = ""

    def __enter__(self) -> Self:
        """Say what is about to be seen, and begin to redraw if this is a terminal."""
        self._print(render.introduction())
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was under way."""
        self._live.stop()

    def doing(self, what: str) -> None:
        """Show a spinner; a line where nothing can be redrawn."""
        if self._console.is_terminal:
            self._live.update(Spinner("dots", Text(render.printable(what), style="dim")), refresh=True)
        elif what != self._said:
            self._print(Text(f"  {render.printable(what)} ..."))
            self._said = what

    def done(self, what: str, facts: Mapping[str, object]) -> None:
        """Print one line."""
        del facts  # the line says it all
        self._print(Text.assemble(("✓ ", "green"), render.printable(what)))

    def progress(self, what: str, done: int, total: int) -> None:
        """Show a progress bar."""
        if not self._console.is_terminal or total <= 1:
            self.doing(what)
            return
        count = f"{done} of {total}" if total < BYTES else f"{done / BYTES:.0f} of {total / BYTES:.0f} MB"
        bar = Table.grid(padding=(0, 1, 0, 0))
        bar.add_row(Text(render.printable(what), style="dim"), ProgressBar(total, done, width=30), count)
        self._live.update(bar, refresh=True)

    def act(self, name: str, title: str, about: str) -> None:
        """Print the heading."""
        del name  # for machines
        self._live.update(Group(), refresh=True)
        self._print(render.heading(title, about))

    def moving(self, shown: RenderableType) -> None:
        """Redraw it."""
        self._live.update(shown, refresh=True)

    def show(self, shown: RenderableType, event: str, facts: Mapping[str, object]) -> None:
        """Print it."""
        del event, facts  # as above
        self._live.update(Group(), refresh=True)
        self._print(shown)

    def watching(self, script: Sequence[Asked], story: Story) -> None:
        """Redraw the requests under way."""
        self._live.update(render.underway(script, story), refresh=True)

    def ended(self, asked: Asked, journey: Journey) -> None:
        """Print the request's panel."""
        self._print(render.request(asked, journey))

    def judged(self, script: Sequence[Asked], story: Story, checks: Sequence[Check], settings: Settings) -> None:
        """Print the tables."""
        self._live.update(Group(), refresh=True)
        self._print(
            Rule(style="dim"),
            *([tables.summary(script, story)] if script else []),
            tables.champions(story.rankings, min_samples=settings.rank.min_samples),
            tables.circuits(story.circuits),
            tables.dead_letters(story.dead_letters),
            tables.feedback(story, topic=_feedback_topic(settings), dataforge_url=settings.dataforge.url),
            Text(),
            tables.verdict(checks),
        )

    def stopping(self) -> None:
        """Show a spinner, where there is a terminal."""
        self._live.update(Spinner("dots", Text("stopping", style="dim")), refresh=True)

    def staying(self, how_to: Sequence[str]) -> None:
        """Print the commands."""
        self._live.stop()
        self._print(
            Text("\nEverything stays up. In another terminal:"),
            *(Text(f"  {line}", style="bold") for line in how_to),
            Text("Ctrl-C ends it.", style="dim"),
        )

    def _print(self, *renderables: RenderableType) -> None:
        self._console.print(*renderables, sep="\n")


class JsonScreen:
    """Machines: one JSON object a line, `event` says which."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def __enter__(self) -> Self:
        """Nothing to begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def doing(self, what: str) -> None:
        """Say nothing: only what has happened is told."""

    def done(self, what: str, facts: Mapping[str, object]) -> None:
        """Tell what happened."""
        self._line("done", {"what": what, **facts})

    def progress(self, what: str, done: int, total: int) -> None:
        """Say nothing: `done` follows."""

    def act(self, name: str, title: str, about: str) -> None:
        """Tell which."""
        self._line("act", {"name": name, "title": title, "about": about})

    def moving(self, shown: RenderableType) -> None:
        """Say nothing: `show` follows."""

    def show(self, shown: RenderableType, event: str, facts: Mapping[str, object]) -> None:
        """Tell the facts."""
        del shown  # for people
        self._line(event, facts)

    def watching(self, script: Sequence[Asked], story: Story) -> None:
        """Say nothing: `request` follows."""

    def ended(self, asked: Asked, journey: Journey) -> None:
        """Tell one request."""
        question = asked.question
        self._line(
            "request",
            {
                "number": question.number,
                "request_id": asked.request_id,
                "session_id": asked.session_id,
                "question": question.text,
                "domain": question.domain,
                "stages": journey.steps,
                "total_ms": round(journey.total_ms, 3),
                "result": journey.result,
            },
        )

    def judged(self, script: Sequence[Asked], story: Story, checks: Sequence[Check], settings: Settings) -> None:
        """Tell the tables, what was left behind, and the verdict."""
        for ranking in story.rankings.values():
            self._line("champions", {"ranking": ranking})
        for state in story.circuits.values():
            self._line("circuit", {"state": state})
        for letter in story.dead_letters:
            fields = {name: getattr(letter, name) for name in ("topic", "partition", "offset", "stage", "error_code")}
            self._line("dead_letter", {**fields, "message": letter.message, "value_hex": letter.value.hex()})
        facts = {"topic": _feedback_topic(settings), "dataforge_url": settings.dataforge.url}
        self._line("feedback", {"records": len(story.feedback), **facts})
        for check in checks:
            self._line("check", {"name": check.name, "met": check.met, "detail": check.detail})
        self._line("verdict", {"met": all(check.met for check in checks), "questions": len(script)})

    def stopping(self) -> None:
        """Say nothing."""

    def staying(self, how_to: Sequence[str]) -> None:
        """Tell the commands."""
        self._line("staying", {"commands": how_to})

    def _line(self, event: str, facts: Mapping[str, object]) -> None:
        self._out.write(orjson.dumps({"event": event, **facts}, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))
        self._out.flush()


def _feedback_topic(settings: Settings) -> str:
    return Topics.of(settings.kafka).feedback.name
