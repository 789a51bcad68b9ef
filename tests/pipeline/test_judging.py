"""A judge beside the rules, in the whole pipeline: whatever becomes of it, the request ends with its result."""

from dataclasses import replace

import pytest

from schemas.records import Result, ScoreStatus, Status
from streams.errors import ProviderUnavailable
from streams.ports import Finish
from streams.settings import EvaluateSettings, Settings
from tests.clock import FixedClock
from tests.fakes.model import HANGS, STOP, ScriptedModel
from tests.pipeline.world import FRANKENSTEIN, SETTINGS, a_question, outside
from topology.memory import MemoryPipeline

ANSWER = "Mary Shelley wrote Frankenstein."


def judged_by(judge: str, **settings: float) -> Settings:
    return replace(SETTINGS, evaluate=EvaluateSettings(judge=judge, **settings))


async def asked(
    clock: FixedClock, settings: Settings, *script: str | Finish | Exception, questions: int = 1
) -> tuple[MemoryPipeline, ScriptedModel]:
    """Run questions past a judge that says `script`; returns the pipeline and the judge."""
    judge = ScriptedModel("judge-model", *script, clock=clock)
    answering = ScriptedModel("first", ANSWER, STOP, clock=clock)
    around = replace(outside(answering, clock=clock), judges=(judge,))
    async with MemoryPipeline(settings, around, clock=clock) as pipeline:
        await pipeline.put(pipeline.topics.knowledge, FRANKENSTEIN)
        await pipeline.settle()
        for number in range(questions):
            await pipeline.put(pipeline.topics.texts, a_question(number))
            await pipeline.settle()
    return pipeline, judge


def the_score(result: Result) -> tuple[ScoreStatus, float]:
    """Return what came of the judge."""
    assert [score.name for score in result.scores][5:] == ["judge"]
    return result.scores[-1].status, result.scores[-1].value


async def test_a_judge_is_heard_and_recorded_everywhere(clock: FixedClock) -> None:
    pipeline, judge = await asked(clock, judged_by("judge-model"), "4", STOP)

    (result,) = pipeline.records(pipeline.topics.results)
    (verdict,) = pipeline.records(pipeline.topics.verdicts)
    assert the_score(result) == (ScoreStatus.SCORED, 0.4)
    assert (result.judge, result.judge_prompt) == (verdict.judge, verdict.judge_prompt) == ("judge-model", "grade/1")
    assert ANSWER in judge.asked[0].user
    outcomes = pipeline.records(pipeline.topics.outcomes)
    assert [outcome.ok for outcome in outcomes if outcome.dependency == "judge:judge-model"] == [True]


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (("a fine answer", STOP), ScoreStatus.PARSE_ERROR),
        (("7",), ScoreStatus.SKIPPED),  # cut off
        ((ProviderUnavailable("down"),), ScoreStatus.SKIPPED),
    ],
)
async def test_a_judge_that_fails_leaves_the_scores_of_the_rules(
    clock: FixedClock, script: tuple[str | Finish | Exception, ...], status: ScoreStatus
) -> None:
    pipeline, _ = await asked(clock, judged_by("judge-model"), *script)
    alone, _ = await asked(clock, SETTINGS)

    (result,), (without,) = pipeline.records(pipeline.topics.results), alone.records(alone.topics.results)
    assert the_score(result) == (status, 0.0)
    assert (result.status, result.overall, result.scores[:5]) == (Status.OK, without.overall, without.scores)


async def test_a_judge_that_hangs_is_given_up(clock: FixedClock) -> None:
    pipeline, judge = await asked(clock, judged_by("judge-model", judge_timeout_s=0.05), HANGS)

    (result,) = pipeline.records(pipeline.topics.results)
    assert (the_score(result), result.status) == ((ScoreStatus.TIMEOUT, 0.0), Status.OK)
    assert judge.cancelled


async def test_a_judge_that_is_down_is_left_alone_until_its_circuit_lets_it_be_tried(clock: FixedClock) -> None:
    threshold = SETTINGS.watch.failure_threshold
    pipeline, judge = await asked(clock, judged_by("judge-model"), ProviderUnavailable("down"), questions=threshold + 2)

    results = pipeline.records(pipeline.topics.results)
    assert len(judge.asked) == threshold
    assert [the_score(result)[0] for result in results] == [ScoreStatus.SKIPPED] * (threshold + 2)
    assert "first" not in {name for name, state in pipeline.table("circuits").items() if state.open_until is not None}


async def test_a_share_of_the_answers_is_judged_and_the_others_say_so(clock: FixedClock) -> None:
    pipeline, judge = await asked(clock, judged_by("judge-model", judge_share=0.5), "9", STOP, questions=40)

    scored = [the_score(result)[0] is ScoreStatus.SCORED for result in pipeline.records(pipeline.topics.results)]
    assert len(judge.asked) == sum(scored)
    assert 8 <= sum(scored) <= 32


async def test_every_model_judges_itself_when_asked_to(clock: FixedClock) -> None:
    answering = ScriptedModel("first", "8", STOP, clock=clock)
    async with MemoryPipeline(judged_by("same"), outside(answering, clock=clock), clock=clock) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        (result,) = pipeline.records(pipeline.topics.results)
    assert (result.judge, the_score(result)) == ("first", (ScoreStatus.SCORED, 0.8))


async def test_without_a_judge_nobody_is_asked_and_there_are_five_scores(clock: FixedClock) -> None:
    pipeline, judge = await asked(clock, SETTINGS, "9", STOP)

    (result,) = pipeline.records(pipeline.topics.results)
    assert (len(result.scores), result.judge, judge.asked) == (5, None, [])
