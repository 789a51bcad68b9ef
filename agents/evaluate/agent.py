"""Wiring of evaluate."""

from agents.evaluate import rules
from schemas.records import Answer, Evaluation, Verdict
from streams.app import App
from streams.emit import Emit
from streams.settings import EvaluateSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Answer],
    writes: Topic[Evaluation],
    verdicts: Topic[Verdict],
    settings: EvaluateSettings,
) -> None:
    """Judge answers without a model."""

    @app.stage(reads, name="evaluate")
    def evaluate(answer: Answer, emit: Emit) -> None:
        evaluation = rules.evaluation(answer, settings)
        emit(writes, evaluation)
        if answer.reused is None:  # it was judged when it was given first; champions would count it again
            emit(verdicts, rules.verdict(evaluation))
