"""Wiring of deliver. It decides nothing, so it has no rules."""

from schemas.records import Feedback, Outcome
from streams.app import App
from streams.circuit import DATAFORGE, outcome
from streams.emit import Emit
from streams.errors import DataForgeRefused, DataForgeUnavailable
from streams.ports import Clock, FeedbackSink
from streams.topic import Topic


def attach(app: App, *, reads: Topic[Feedback], outcomes: Topic[Outcome], sink: FeedbackSink, clock: Clock) -> None:
    """Deliver feedback; while DataForge is down it waits. Every call is reported, whatever becomes of it."""

    @app.stage(reads, name="deliver", patient=True)
    async def deliver(feedback: Feedback, emit: Emit) -> None:
        started, request_id = clock.now(), feedback.origin.request_id
        try:
            await sink.deliver(feedback)
        except (DataForgeUnavailable, DataForgeRefused) as error:
            failed = outcome(DATAFORGE, started=started, ended=clock.now(), request_id=request_id, error=error)
            emit.now(outcomes, failed)
            raise
        emit(outcomes, outcome(DATAFORGE, started=started, ended=clock.now(), request_id=request_id))
