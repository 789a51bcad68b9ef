"""Wiring of retrieve."""

import asyncio
from collections.abc import Mapping
from functools import partial

from agents.retrieve import rules
from agents.retrieve.ladder import PackLadder
from agents.retrieve.profile import Who
from agents.retrieve.search import Search
from schemas.records import Attack, CircuitState, Context, Embedding, Invalidation, Outcome, Result
from streams.app import App
from streams.circuit import Gate
from streams.clients.cache import ByteCache
from streams.emit import Emit
from streams.packs import Library, Pack, PackSource
from streams.ports import ChunkStore, Clock, Encoder, Profiles
from streams.screen.screening import Screen
from streams.settings import DataForgeSettings, RetrieveSettings, ScreenSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Embedding],
    writes: Topic[Context],
    results: Topic[Result],
    outcomes: Topic[Outcome],
    packs: PackSource | None,
    pack_cache: ByteCache,
    invalidations: Mapping[str, Invalidation],
    static_packs: Mapping[str, Pack],
    store: ChunkStore,
    profiles: Profiles | None,
    circuits: Mapping[str, CircuitState],
    clock: Clock,
    encoder: Encoder,
    attacks: Mapping[str, Attack],
    settings: RetrieveSettings,
    dataforge: DataForgeSettings,
    screening: ScreenSettings,
) -> None:
    """Find the best context that can be had: a pack, an older pack, passages near the question, what lies beside the program, none.

    No passage is kept that gives orders to the model. A strict request ends here when its context is degraded.
    """
    screen = Screen(encoder, attacks, screening)
    gate = Gate(circuits, reads.partitions)
    library = Library(packs, pack_cache, invalidations, clock, dataforge) if packs is not None else None
    ladder = PackLadder(library, gate, clock, dataforge)
    search = Search(ladder, store, static_packs, encoder, gate, clock, settings)
    who = Who(profiles, screen, gate, clock)
    if library is not None:
        app.task(library.keep_warm)
        app.counted["packs"] = library.counts

    @app.stage(reads, name="retrieve")
    async def retrieve(embedding: Embedding, emit: Emit) -> None:
        report = partial(emit, outcomes)
        if profiles is None:
            context = await search.context(embedding, report)
        else:
            found = search.context(embedding, report), who.asks(embedding.origin, report)
            context = rules.with_asker(*await asyncio.gather(*found))
        refused = [
            kept.chunk_id for kept in context.chunks if kept.kept and screen.refuses(await screen.look(kept.text))
        ]
        context = rules.without(context, refused)
        refusal = rules.refusal(context, clock.now())
        if refusal is not None:
            emit(results, refusal)
        else:
            emit(writes, context)
