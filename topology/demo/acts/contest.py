"""Two models answer the same questions; the challenger gets the title when its lead cannot be luck."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from schemas.records import Ranking, Result
from streams.cells import cell
from topology.demo.act import Run
from topology.demo.expect import Check, check
from topology.demo.journeys import Story
from topology.demo.promotion import VIEW_S
from topology.demo.questions import Asked, Question, asked, routed
from topology.demo.render import Meter, grade, milliseconds, printable
from topology.demo.tables import TABLE

DOMAIN, TASK = "general", "reasoning"
CELL = cell(DOMAIN, TASK)
LEADER, CHALLENGER = "smollm2", "extractive"
QUESTIONS = (
    "Who won the tournament of the chess club in our village?", "What did the mayor of my town promise last Monday?",
    "How many guests came to my sister's wedding?", "Which bus goes from my street to the swimming pool?",
    "What colour is my neighbour's new bicycle?", "Why was the train to work late this morning?",
    "What did the teacher write on the blackboard today?", "How much did the baker charge me for two rolls?",
    "Who sang the second song at the concert on Friday?", "Where did my uncle park his car?",
    "When does the shop at the corner close tonight?", "What is the name of the postman's dog?",
    "Which of my cousins moved to another town?", "What did we have for lunch at the office?",
    "How long did my brother wait at the dentist's?", "Which song did the choir forget at the rehearsal?",
    "Who left the umbrella in our hall?", "How old is the lady who lives upstairs?",
    "What did the plumber say about our kitchen?", "Which team lost the quiz at the pub?",
)  # fmt: skip
TOKENS = 40
AT_ONCE = 2  # questions; each is put to both
LEARNING_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One question, put to both; `evidence` is that against the champion once both answers were judged."""

    leader: Asked
    challenger: Asked
    evidence: float | None = None


class Contest:
    """Both are asked by name here, so that a minute is enough; otherwise a challenger gets its share by exploration."""

    name = "contest"
    title = "Two models compete"
    about = (
        f"`{LEADER}`, who leads, and `{CHALLENGER}` are asked what the library cannot know: one makes something up, the other "
        "says so. Every verdict moves the evidence; at 100 to 1 it is no chance, and the title changes hands by itself."
    )
    script: Sequence[Asked] = ()

    def missing(self, run: Run) -> str:
        """Return which of the two is not there."""
        absent = [model for model in (LEADER, CHALLENGER) if model not in run.models]
        return f"{' and '.join(absent)} is not among the models" if absent else ""

    async def play(self, run: Run) -> Sequence[Check]:
        """Ask until the title has changed hands, then ask whoever leads."""
        first = run.settings.rank.min_samples
        await run.answered([_asked(text, LEADER) for text in QUESTIONS[:first]])
        await _learned(run)
        rounds: list[Round] = []
        pairs = [Round(leader=_asked(text, LEADER), challenger=_asked(text, CHALLENGER)) for text in QUESTIONS[first:]]
        while pairs and _champion(run.story) == LEADER:
            now, pairs = pairs[:AT_ONCE], pairs[AT_ONCE:]
            both = [one for pair in now for one in (pair.leader, pair.challenger)]
            if not await run.answered(both, partial(_show, run, [*rounds, *now])):
                break
            await _learned(run)
            evidence = _evidence(run.story.rankings.get(CELL))
            rounds += [*now[:-1], replace(now[-1], evidence=evidence)]
            if evidence is not None:
                run.screen.doing(f"evidence after {len(rounds)} questions: {evidence:.1f}")
        run.screen.show(
            _table(rounds, run.story, run),
            "contest",
            {"cell": CELL, "rounds": [_facts(one, run.story) for one in rounds]},
        )
        ranking = run.story.rankings.get(CELL)
        if ranking is not None and ranking.champion == CHALLENGER:
            run.screen.done(f"`{CHALLENGER}` leads {CELL} from now on: {ranking.reason}", {"ranking": ranking})
        await asyncio.sleep(VIEW_S)
        after = routed(Question(number=0, text="Which animal has three hearts?", domain=DOMAIN, task=TASK), "after")
        await run.answered([after])
        return judged(run.story, rounds, after, ranking)


def judged(story: Story, rounds: Sequence[Round], after: Asked, ranking: Ranking | None) -> Sequence[Check]:
    """Judge the rounds, the title they led to, and whom the router asked `after` them."""
    scores = [_overall(story, side) for one in rounds for side in (one.leader, one.challenger)]
    result = _result(story, after)
    asked_next = result.decision.model if result and result.decision else "nobody"
    leads = ranking is not None and ranking.champion == CHALLENGER and not ranking.commands
    return [
        check(
            f"{len(rounds)} questions were answered by both models, and judged",
            met=bool(rounds) and None not in scores,
            otherwise=f"{scores.count(None)} answers were not judged",
        ),
        check(
            f"{CHALLENGER} was promoted by evidence, and the next request went to it",
            met=leads and asked_next == CHALLENGER,
            otherwise=f"{ranking.reason if ranking else 'no ranking'}; the next request went to {asked_next}",
        ),
    ]


def _asked(text: str, model: str) -> Asked:
    return asked(Question(number=0, text=text, domain=DOMAIN, task=TASK, model=model, max_tokens=TOKENS), "contest")


async def _learned(run: Run) -> None:
    """Wait until every answer of the cell is counted in its table."""
    results = [journey.result for journey in run.story.journeys.values()]
    answers = sum(1 for result in results if result and result.decision and result.decision.cell == CELL)
    await run.observer.until(
        lambda story: CELL in story.rankings and sum(one.samples for one in story.rankings[CELL].standings) >= answers,
        within_s=LEARNING_S,
        moved=lambda _: None,
    )


def _champion(story: Story) -> str | None:
    ranking = story.rankings.get(CELL)
    return ranking.champion if ranking else None


def _evidence(ranking: Ranking | None) -> float | None:
    """Return how strong the case against the champion is, by its duel with the challenger or by its own fall; none without a case."""
    if ranking is None or ranking.champion != LEADER:
        return None
    duels = [one.duel.strength for one in ranking.standings if one.model == CHALLENGER and one.duel]
    return max([*duels, ranking.reign.strength if ranking.reign else 1.0])


def _result(story: Story, asked: Asked) -> Result | None:
    return story.journey(asked.request_id).result


def _overall(story: Story, asked: Asked) -> float | None:
    result = _result(story, asked)
    return result.overall if result else None


def _show(run: Run, rounds: Sequence[Round], story: Story) -> None:
    run.screen.moving(_table(rounds, story, run))


def _table(rounds: Sequence[Round], story: Story, run: Run) -> RenderableType:
    needed = 1.0 / run.settings.rank.false_alarm
    table = Table(**TABLE)  # type: ignore[arg-type]
    table.add_column("question, put to both", ratio=1, no_wrap=True, overflow="ellipsis")
    for model in (LEADER, CHALLENGER):
        table.add_column(model, no_wrap=True, width=18)
        table.add_column("", justify="right", no_wrap=True)
    table.add_column("evidence", justify="right", no_wrap=True)
    for one in rounds:
        cells: list[RenderableType] = [printable(one.leader.question.text)]
        for side in (one.leader, one.challenger):
            cells += _score(_result(story, side))
        told = "promoted" if one is rounds[-1] and _champion(story) == CHALLENGER else ""
        cells.append(f"{one.evidence:.1f} of {needed:.0f}" if one.evidence is not None else told)
        table.add_row(*cells)
    return table


def _score(result: Result | None) -> Sequence[RenderableType]:
    if result is None or result.overall is None:
        return [Text("..." if result is None else result.status, style="dim"), ""]
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(Meter(result.overall, grade(result.overall)), f"{result.overall:.2f}")
    return [grid, Text(milliseconds(result.latency_ms), style="dim")]


def _facts(one: Round, story: Story) -> dict[str, object]:
    scores = {LEADER: _overall(story, one.leader), CHALLENGER: _overall(story, one.challenger)}
    return {"question": one.leader.question.text, "scores": scores, "evidence": one.evidence}
