"""Letting judges judge: the rules, and models as the stage `evaluate` asks them."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from agents.evaluate import judgement, rules
from agents.evaluate.judge import asked
from schemas.records import Answer, Score, ScoreStatus
from streams.clients.models.registry import OwnedModel, Registry
from streams.settings import EvaluateSettings, Settings
from streams.words import words
from topology.calibration.comparison import Case, Opinions, Row, compared
from topology.embedded.cache import cache_directory
from topology.together import together

RULES = rules.EVALUATOR
AT_ONCE = 2  # judgements of one model; a model in this process gets no faster by more

Told = Callable[[int, int], None]


async def calibrated(
    answers: Sequence[Answer], judges: Sequence[str], settings: Settings, *, controls: bool, told: Told
) -> Sequence[Row]:
    """Return how the judges compare, the rules first; `told` hears how many judgements are done.

    Raises:
        SettingsInvalid: a judge is no model.
        ModelMissing: its files are not installed.
    """
    cases, judged = with_controls(answers) if controls else (list(map(case_of, answers)), list(answers))
    registry = Registry(settings.route, cache_dir=cache_directory(settings.embedded.cache_dir, os.environ))
    models = [registry.model(name) for name in judges]
    done, total = 0, len(judged) * len(models)

    def one_more() -> None:
        nonlocal done
        done += 1
        told(done, total)

    async with AsyncExitStack() as stack:
        for model in models:
            stack.push_async_callback(model.close)
        await together(*(model.start() for model in models))
        # one after the other: they would slow each other down to their timeouts
        said = [await by_model(model, judged, settings.evaluate, one_more) for model in models]
    return compared(cases, [by_rules(judged, settings.evaluate), *said], settings.evaluate.pass_mark)


def case_of(answer: Answer, *, control: bool = False) -> Case:
    """Return what is compared of an answer."""
    return Case(
        question_id=answer.request.query,
        model=answer.decision.model,
        words=len(words(answer.text)),
        control=control,
    )


def with_controls(answers: Sequence[Answer]) -> tuple[list[Case], list[Answer]]:
    """Return the answers, and each question with an answer of the same model to another one."""
    cases = [case_of(answer) for answer in answers]
    judged = list(answers)
    for answer in answers:
        of_model = [other for other in answers if other.decision.model == answer.decision.model]
        foreign = [other for other in of_model if other.request.query != answer.request.query]
        if foreign:
            other = foreign[of_model.index(answer) % len(foreign)]
            swapped = replace(answer, text=other.text)
            cases.append(case_of(swapped, control=True))
            judged.append(swapped)
    return cases, judged


def by_rules(answers: Sequence[Answer], settings: EvaluateSettings) -> Opinions:
    """Return what the five scores say together."""
    scores, took = [], []
    for answer in answers:
        began = time.perf_counter()
        overall = rules.evaluation(answer, settings).overall
        took.append((time.perf_counter() - began) * 1000.0)
        scores.append(Score(name=judgement.NAME, value=overall, status=ScoreStatus.SCORED))
    return Opinions(judge=RULES, prompt=RULES, scores=scores, took_ms=took)


async def by_model(
    model: OwnedModel, answers: Sequence[Answer], settings: EvaluateSettings, one_more: Callable[[], None]
) -> Opinions:
    """Return what a model says, asked as for a live answer but for the deadline."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def judged(answer: Answer) -> tuple[Score, float]:
        async with turns:
            began = time.perf_counter()
            found, _ = await asked(model, answer, settings.judge_timeout_s)
            took_ms = (time.perf_counter() - began) * 1000.0
            one_more()
            return found.score, took_ms

    said = await asyncio.gather(*(judged(answer) for answer in answers))
    return Opinions(
        judge=model.spec.name,
        prompt=judgement.prompt_of(model.spec.provider),
        scores=[score for score, _ in said],
        took_ms=[took_ms for _, took_ms in said],
    )
