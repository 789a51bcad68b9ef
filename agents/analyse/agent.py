"""Wiring of analyse. It decides nothing, so it has no rules."""

from schemas.records import Analysis, Request
from streams.app import App
from streams.emit import Emit
from streams.language import Analyst
from streams.topic import Topic


def attach(app: App, *, reads: Topic[Request], writes: Topic[Analysis], analyst: Analyst) -> None:
    """Analyse questions; whatever becomes of that, their answers are on another way."""

    @app.stage(reads, name="analyse", aside=True)
    async def analyse(request: Request, emit: Emit) -> None:
        emit(writes, await analyst.analyse(request.origin, request.query))
