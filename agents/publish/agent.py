"""Wiring of publish."""

from agents.publish import rules
from schemas.records import Evaluation, Feedback, Result, SpeechRequest
from streams.app import App
from streams.emit import Emit
from streams.ports import Clock
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Evaluation],
    results: Topic[Result],
    feedback: Topic[Feedback],
    speech_requests: Topic[SpeechRequest],
    clock: Clock,
) -> None:
    """End requests."""

    @app.stage(reads, name="publish")
    def publish(evaluation: Evaluation, emit: Emit) -> None:
        result = rules.result(evaluation, clock.now())
        emit(results, result)
        emit(feedback, rules.feedback(evaluation))
        for speech in rules.speech_requests(evaluation, result):
            emit(speech_requests, speech)
