"""Wiring of deliver. It decides nothing, so it has no rules."""

from schemas.records import Effect, EffectState, Feedback, Outcome
from streams.app import App
from streams.circuit import DATAFORGE, outcome
from streams.emit import Emit
from streams.errors import DataForgeRefused, DataForgeUnavailable
from streams.ports import Clock, EffectMemory, FeedbackSink
from streams.topic import Topic

STAGE = "deliver"


def attach(
    app: App,
    *,
    reads: Topic[Feedback],
    outcomes: Topic[Outcome],
    effects: Topic[Effect],
    memory: EffectMemory,
    sink: FeedbackSink,
    clock: Clock,
) -> None:
    """Deliver feedback; while DataForge is down it waits. Every call is reported, whatever becomes of it.

    A delivery needs no log before it: DataForge is idempotent on the id of the feedback.
    """

    @app.stage(reads, name=STAGE, patient=True)
    async def deliver(feedback: Feedback, emit: Emit) -> None:
        effect_id = f"{feedback.feedback_id}/{STAGE}"
        if await memory.find(effect_id) is not None:
            return
        started, request_id = clock.now(), feedback.origin.request_id
        try:
            await sink.deliver(feedback)
        except (DataForgeUnavailable, DataForgeRefused) as error:
            failed = outcome(DATAFORGE, started=started, ended=clock.now(), request_id=request_id, error=error)
            emit.now(outcomes, failed)
            raise
        ended = clock.now()
        effect = Effect(origin=feedback.origin, effect_id=effect_id, state=EffectState.DONE, at=ended)
        emit.now(effects, effect)
        memory.keep(effect)
        emit(outcomes, outcome(DATAFORGE, started=started, ended=ended, request_id=request_id))
