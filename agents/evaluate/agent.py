"""Wiring of evaluate."""

from collections.abc import Iterable, Mapping
from functools import partial

from agents.evaluate import rules
from agents.evaluate.judge import Judge
from agents.evaluate.judgement import Judgement
from schemas.records import Answer, CircuitState, Evaluation, Outcome, Verdict
from streams.app import App
from streams.circuit import Gate
from streams.emit import Emit
from streams.ports import Clock, Model
from streams.settings import EvaluateSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Answer],
    writes: Topic[Evaluation],
    verdicts: Topic[Verdict],
    outcomes: Topic[Outcome],
    judges: Iterable[Model],
    circuits: Mapping[str, CircuitState],
    clock: Clock,
    settings: EvaluateSettings,
) -> None:
    """Judge answers by rules, and by a model too when the settings name one; without one nothing waits."""

    def told(answer: Answer, judgement: Judgement | None, emit: Emit) -> None:
        evaluation = rules.evaluation(answer, settings, judgement)
        emit(writes, evaluation)
        if rules.tells_of_the_model(answer):
            emit(verdicts, rules.verdict(evaluation))

    if not settings.judge:

        @app.stage(reads, name="evaluate")
        def evaluate(answer: Answer, emit: Emit) -> None:
            told(answer, None, emit)

        return

    judge = Judge(judges, Gate(circuits, reads.partitions), clock, settings)

    @app.stage(reads, name="evaluate")
    async def evaluate_and_ask(answer: Answer, emit: Emit) -> None:
        told(answer, await judge.judged(answer, reads.key(answer), partial(emit.now, outcomes)), emit)
