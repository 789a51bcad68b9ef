"""Wiring of retrieve."""

from collections.abc import Mapping

from agents.retrieve import rules
from schemas.records import Attack, CircuitState, Context, Embedding, Outcome
from streams.app import App
from streams.circuit import VECTOR_STORE, Gate, outcome
from streams.emit import Emit
from streams.errors import StoreUnavailable
from streams.ports import ChunkStore, Clock, Encoder
from streams.screen.screening import Screen
from streams.settings import RetrieveSettings, ScreenSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Embedding],
    writes: Topic[Context],
    outcomes: Topic[Outcome],
    store: ChunkStore,
    circuits: Mapping[str, CircuitState],
    clock: Clock,
    encoder: Encoder,
    attacks: Mapping[str, Attack],
    settings: RetrieveSettings,
    screening: ScreenSettings,
) -> None:
    """Find passages; without the vector store the request goes on, degraded. No passage is kept that gives orders to the model."""
    screen = Screen(encoder, attacks, screening)
    gate = Gate(circuits, reads.partitions)

    @app.stage(reads, name="retrieve")
    async def retrieve(embedding: Embedding, emit: Emit) -> None:
        request_id, tenant = embedding.origin.request_id, embedding.origin.tenant
        started = clock.now()
        if not gate.lets_through(VECTOR_STORE, started, reads.key(embedding)):
            emit(writes, rules.without_store(embedding))
            return
        try:
            found = await store.search(embedding.vector, limit=settings.candidates, tenant=tenant)
        except StoreUnavailable as error:
            failed = outcome(VECTOR_STORE, started=started, ended=clock.now(), request_id=request_id, error=error)
            emit(outcomes, failed)
            emit(writes, rules.without_store(embedding))
            return
        emit(outcomes, outcome(VECTOR_STORE, started=started, ended=clock.now(), request_id=request_id))
        context = rules.context(embedding, found, settings)
        refused = [
            kept.chunk_id for kept in context.chunks if kept.kept and screen.refuses(await screen.look(kept.text))
        ]
        emit(writes, rules.without(context, refused))
