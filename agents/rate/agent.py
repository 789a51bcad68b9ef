"""Wiring of rate."""

from agents.rate import rules
from schemas.records import Feedback, Rating
from streams.app import App
from streams.emit import Emit
from streams.ports import Clock, PastResults
from streams.settings import RateSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Rating],
    writes: Topic[Feedback],
    results: PastResults,
    clock: Clock,
    settings: RateSettings,
    max_deadline_s: float,
) -> None:
    """Join ratings to the results they are about, whenever they come; a rating that is early waits."""

    @app.stage(reads, name="rate", patience_s=settings.wait_s)
    async def rate(rating: Rating, emit: Emit) -> None:
        rules.check(rating, max_deadline_s)
        learned = rules.feedback(rating, await results.find(rating.origin), clock.now(), settings)
        if learned is not None:
            emit(writes, learned)
