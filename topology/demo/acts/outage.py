"""A model server is killed: its circuit opens, others answer, the circuit tries it again and closes."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from schemas.records import CircuitState, Phase, Result
from streams.circuit import phase
from topology.demo.act import Run
from topology.demo.expect import Check, check
from topology.demo.journeys import Story
from topology.demo.neighbours import REMOTE
from topology.demo.promotion import VIEW_S, promoted
from topology.demo.questions import Asked, Question, routed
from topology.demo.render import STATUS, milliseconds, printable
from topology.demo.tables import TABLE

CELL = "market/generation"
TOKENS = 16
WELL, DEAD, OPEN, HALF_OPEN, AGAIN = "well", "killed", "open", "half open", "closed again"
WISH = "Write a slogan for "
SUBJECTS = (
    "a bank that is never in a hurry", "a savings book for children", "a bakery that sells shares", "a fund of old ships",
    "an exchange for stamps", "a broker of umbrellas", "a bond that never sleeps", "a cheap insurance for clouds",
    "a currency made of tea", "a market hall at night", "an honest auction", "a pension for cats", "a loan without interest",
    "a vault in the mountains", "a stock of candles", "a coin for travellers",
)  # fmt: skip
EFFECT_S = 10.0  # for the circuit to turn
PROBES = 4  # at once, each on a partition of its own: one of them is let through


class Outage:
    """One wave of requests for each state of the circuit."""

    name = "outage"
    title = "A provider dies"
    about = (
        f"An operator makes `{REMOTE}`, a model behind an OpenAI-compatible server of the demo, champion of {CELL}; "
        "then the server is killed with -9."
    )
    script: Sequence[Asked] = ()

    def missing(self, run: Run) -> str:
        """Return why there is no model server."""
        return "" if run.neighbours.model_server else "smollm2, which its model server needs, is not there"

    async def play(self, run: Run) -> Sequence[Check]:
        """Promote, ask, kill, ask, start again, ask."""
        server = run.neighbours.model_server
        assert server is not None  # noqa: S101 - `missing` has said so
        waves = _waves(run)
        run.screen.doing("starting a model server")
        await server.start()
        run.screen.done(
            f"llama.cpp serves `{REMOTE}` at {server.url}, in a process of its own", {"started": server.url}
        )
        await promoted(run, CELL, REMOTE, "to see it fail")
        await _wave(run, WELL, waves)
        pid = await server.kill()
        run.screen.done(f"process {pid}, which served `{REMOTE}`, was killed", {"killed": pid})
        await run.ask(waves[DEAD])
        await _turned(run, Phase.OPEN)
        await run.ask(waves[OPEN])  # before the others have been answered: the circuit is not open for long
        await run.ended([*waves[DEAD], *waves[OPEN]], lambda story: run.screen.moving(_table(waves, story)))
        began = time.monotonic()
        await server.start()
        run.screen.done(
            f"the server is back after {time.monotonic() - began:.1f} s; its circuit does not know yet",
            {"started": server.url},
        )
        await _until_half_open(run)
        await _wave(run, HALF_OPEN, waves)
        await _turned(run, Phase.CLOSED)
        await _wave(run, AGAIN, waves)
        run.screen.show(_table(waves, run.story), "outage", _facts(waves, run.story))
        return judged(waves, run.story, run.settings.watch.failure_threshold)


def _waves(run: Run) -> Mapping[str, Sequence[Asked]]:
    """Return what is asked in each state of the circuit; no question is asked twice."""
    partitions = run.settings.kafka.partitions
    sizes = {WELL: 2, DEAD: run.settings.watch.failure_threshold, OPEN: 3, HALF_OPEN: min(PROBES, partitions), AGAIN: 1}
    waves: dict[str, Sequence[Asked]] = {}
    number = 0
    for name, size in sizes.items():
        asked = []
        for place in range(size):
            subject = SUBJECTS[number % len(SUBJECTS)]
            question = Question(
                number=0, domain="market", task="generation", text=f"{WISH}{subject}", max_tokens=TOKENS
            )
            asked.append(routed(question, f"outage {number}", place=place % partitions, partitions=partitions))
            number += 1
        waves[name] = asked
    return waves


async def _wave(run: Run, name: str, waves: Mapping[str, Sequence[Asked]]) -> None:
    await run.answered(waves[name], lambda story: run.screen.moving(_table(waves, story)))


async def _turned(run: Run, into: Phase) -> None:
    await run.observer.until(lambda story: _state(story).phase is into, within_s=EFFECT_S, moved=lambda _: None)
    run.screen.done(f"circuit `{REMOTE}`: {into}, {_state(run.story).reason}", {"circuit": _state(run.story)})
    await asyncio.sleep(VIEW_S)


async def _until_half_open(run: Run) -> None:
    """Wait for the moment that follows from the state of the circuit."""
    until = _state(run.story).open_until
    if until is None:
        return
    left_s = (until - datetime.now(UTC)).total_seconds()
    run.screen.doing(f"the circuit stays open for another {max(0.0, left_s):.1f} s")
    await asyncio.sleep(max(0.0, left_s) + VIEW_S)
    run.screen.done(
        f"circuit `{REMOTE}`: {phase(_state(run.story), datetime.now(UTC)).replace('_', ' ')}, one request may try it",
        {"circuit": _state(run.story)},
    )


def _state(story: Story) -> CircuitState:
    return story.circuits.get(REMOTE) or CircuitState(dependency=REMOTE, as_of=datetime.now(UTC), counted={})


def _results(asked: Sequence[Asked], story: Story) -> list[Result]:
    found = [story.journey(one.request_id).result for one in asked]
    return [result for result in found if result is not None]


def _by(results: Sequence[Result], model: str) -> int:
    return sum(1 for result in results if result.decision is not None and result.decision.model == model)


def _why_not(result: Result) -> str:
    decision = result.decision
    if decision is None:
        return ", ".join(error.error_code for error in result.errors)
    return decision.rejected.get(REMOTE, "asked")


def _table(waves: Mapping[str, Sequence[Asked]], story: Story) -> RenderableType:
    table = Table(**TABLE)  # type: ignore[arg-type]
    table.add_column("the server is", no_wrap=True)
    table.add_column("a slogan for", ratio=1, no_wrap=True, overflow="ellipsis")
    for name in (REMOTE, "answered by", "status"):
        table.add_column(name, no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True)
    for name, asked in waves.items():
        for place, one in enumerate(asked):
            journey = story.journey(one.request_id)
            result = journey.result
            if result is None:
                continue
            why = _why_not(result).replace("_", " ")
            table.add_row(
                name if place == 0 else "",
                printable(one.question.text).removeprefix(WISH),
                Text(why, style="green" if why == "asked" else "red"),
                printable(result.decision.model) if result.decision else "-",
                Text(result.status, style=STATUS[result.status]),
                milliseconds(journey.total_ms),
            )
    return table


def _facts(waves: Mapping[str, Sequence[Asked]], story: Story) -> dict[str, object]:
    return {
        "waves": {
            name: [
                {"model": result.decision.model if result.decision else None, "remote": _why_not(result)}
                for result in _results(asked, story)
            ]
            for name, asked in waves.items()
        },
        "transitions": [state for state in story.transitions if state.dependency == REMOTE],
    }


def judged(waves: Mapping[str, Sequence[Asked]], story: Story, threshold: int) -> Sequence[Check]:
    """Judge the waves; the circuit opens after `threshold` failures."""
    found = {name: _results(asked, story) for name, asked in waves.items()}
    unanswered = [
        result.origin.request_id for results in found.values() for result in results if not result.text.strip()
    ]
    turns = [state.phase for state in story.transitions if state.dependency == REMOTE]
    kept_back = [_why_not(result) for result in found[OPEN]]
    probes = _by(found[HALF_OPEN], REMOTE)
    others = [_why_not(result) for result in found[HALF_OPEN] if result.decision and result.decision.model != REMOTE]
    asked_again = _by(found[WELL], REMOTE) > 0 and _by(found[AGAIN], REMOTE) > 0
    fell_back = len(found[DEAD]) == threshold and not _by(found[DEAD], REMOTE)
    turned = ", ".join(turns) or "never"
    return [
        check(
            f"{sum(map(len, waves.values()))} requests were answered, whether the server lived or not",
            met=not unanswered and all(len(found[name]) == len(asked) for name, asked in waves.items()),
            otherwise=f"without a text: {', '.join(unanswered) or 'those without a result'}",
        ),
        check(
            f"{threshold} failures opened its circuit, others answered, and nobody called it while it was open",
            met=fell_back and turns[:1] == [Phase.OPEN] and set(kept_back) == {"circuit_open"},
            otherwise=f"the circuit turned {turned}; kept back: {', '.join(kept_back)}",
        ),
        check(
            "half open, one request tried it, the others went elsewhere; then it closed and was asked again",
            met=probes == 1 and set(others) <= {"circuit_half_open"} and turns[-1:] == [Phase.CLOSED] and asked_again,
            otherwise=f"{probes} tried it, the others: {', '.join(others)}; the circuit turned {turned}",
        ),
    ]
