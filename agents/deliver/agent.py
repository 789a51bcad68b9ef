"""Wiring of deliver. It decides nothing, so it has no rules."""

from collections.abc import Mapping

from schemas.records import CircuitState, Effect, Feedback, Outcome
from streams.app import App
from streams.circuit import DATAFORGE_FEEDBACK
from streams.courier import Books, Courier, Receiver
from streams.emit import Emit
from streams.errors import DataForgeRefused, DataForgeUnavailable
from streams.ports import Clock, EffectMemory, FeedbackSink
from streams.retry import FOR_EVER
from streams.settings import DataForgeSettings
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
    circuits: Mapping[str, CircuitState],
    clock: Clock,
    settings: DataForgeSettings,
) -> None:
    """Deliver feedback, in order per pack; while DataForge is down it waits.

    A delivery needs no log before it: DataForge is idempotent on the id of the feedback.
    """
    receiver = Receiver(
        dependency=DATAFORGE_FEEDBACK,
        sink=sink,
        unavailable=DataForgeUnavailable,
        refused=DataForgeRefused,
        most_records=settings.batch_records,
        parallel=settings.parallel,
    )
    books = Books(outcomes=outcomes, effects=effects, memory=memory)
    courier = Courier(receiver, books, key=reads.key, circuits=circuits, partitions=reads.partitions, clock=clock)

    @app.stage(reads, name=STAGE, ordered=False, patience_s=FOR_EVER, pauses=settings)
    async def deliver(feedback: Feedback, emit: Emit) -> None:
        await courier.deliver(feedback, f"{feedback.feedback_id}/{STAGE}", emit)
