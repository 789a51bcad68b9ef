"""Wiring of admit."""

from collections.abc import Mapping

from agents.admit import passage, rules
from schemas.records import Attack, Duplicate, Request, TextQuery
from streams.app import App
from streams.emit import Emit
from streams.ports import Clock, Encoder, Gate, History
from streams.screen.screening import Screen
from streams.settings import AdmitSettings, ScreenSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[TextQuery],
    writes: Topic[Request],
    duplicates: Topic[Duplicate],
    gate: Gate,
    encoder: Encoder,
    attacks: Mapping[str, Attack],
    history: History,
    clock: Clock,
    settings: AdmitSettings,
    screening: ScreenSettings,
) -> None:
    """Admit queries, or refuse them with every problem listed."""
    screen = Screen(encoder, attacks, screening)

    @app.stage(reads, name="admit")
    async def admit(query: TextQuery, emit: Emit) -> None:
        request = rules.admitted(query, settings)
        passed = await gate.enter(passage.entry(request, settings), clock.now())
        if (repetition := passage.repetition(request, passed)) is not None:
            emit(duplicates, repetition)
            return
        limits = passage.within_limits(passed)
        seen = await screen.look(request.query)
        turns = history.before(request.origin)
        emit(writes, passage.screened(request, limits, seen, turns, refused=screen.refuses(seen)))
