"""Wiring of publish."""

from agents.publish import rules
from schemas.records import Evaluation, Feedback, Proposal, Result, SpeechRequest
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
    proposals: Topic[Proposal] | None,
    clock: Clock,
) -> None:
    """End requests; without `proposals` no answer is proposed to anybody."""

    @app.stage(reads, name="publish")
    def publish(evaluation: Evaluation, emit: Emit) -> None:
        result = rules.result(evaluation, clock.now())
        emit(results, result)
        emit(feedback, rules.feedback(evaluation, result))
        for speech in rules.speech_requests(evaluation, result):
            emit(speech_requests, speech)
        if proposals is not None:
            for proposal in rules.proposals(evaluation, result):
                emit(proposals, proposal)
