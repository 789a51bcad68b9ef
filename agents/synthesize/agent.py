"""Wiring of synthesize."""

from collections.abc import Mapping, Sequence

from agents.synthesize import rules
from agents.synthesize.floor import Floor
from agents.synthesize.ladder import Ladder
from schemas.records import CircuitState, Outcome, SpeechChunk, SpeechRequest, SpokenTurn
from streams.app import App
from streams.circuit import Gate
from streams.emit import Emit
from streams.ports import Clock
from streams.settings import SynthesizeSettings
from streams.speech import SpeechEngine
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[SpeechRequest],
    writes: Topic[SpeechChunk],
    outcomes: Topic[Outcome],
    engines: Sequence[SpeechEngine],
    circuits: Mapping[str, CircuitState],
    clock: Clock,
    settings: SynthesizeSettings,
) -> None:
    """Speak sentence by sentence, for as long as no newer turn has begun; a request without words only ends older turns."""
    turns = app.owned_table("turns", SpokenTurn, rules.unspoken)
    floor, ladder = Floor(turns), Ladder(engines, Gate(circuits, reads.partitions), clock)

    @app.stage(reads, name="synthesize", ordered=False)
    async def synthesize(request: SpeechRequest, emit: Emit) -> None:
        now = clock.now()
        turns.sweep(lambda known: rules.forgotten(known, now, settings), reads.partitions)
        if not await floor.taken(request, emit):
            return
        said = rules.sentences_to_say(request.text, settings, begins=request.begins)
        for sequence, text in enumerate(said):
            spoken, engine, missed = await ladder.speak(text, request, lambda seen: emit.now(outcomes, seen))
            if not floor.has(request):
                return
            emit.now(writes, rules.chunk(request, said, sequence, spoken, engine, missed))
