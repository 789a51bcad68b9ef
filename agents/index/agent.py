"""Wiring of index."""

from agents.index import rules
from schemas.records import Invalidation, KnowledgeDocument
from streams.app import App
from streams.emit import Emit
from streams.ports import ChunkStore, Clock, Encoder
from streams.retry import FOR_EVER
from streams.settings import IndexSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[KnowledgeDocument],
    invalidations: Topic[Invalidation],
    encoder: Encoder,
    store: ChunkStore,
    clock: Clock,
    settings: IndexSettings,
) -> None:
    """Keep the vector store what the knowledge topic says; while the store is down, documents wait."""

    async def forget(document_id: str, emit: Emit) -> None:
        await store.delete(document_id)
        emit(invalidations, rules.deleted(document_id, clock.now()))

    @app.stage(reads, name="index", tombstone=forget, patience_s=FOR_EVER)
    async def index(document: KnowledgeDocument, emit: Emit) -> None:
        passages = rules.passages(document, settings)
        vectors = await encoder.encode(rules.texts_to_embed(passages)) if passages else ()
        await store.replace(document.document_id, rules.chunks(document, passages, vectors))
        emit(invalidations, rules.updated(document))
