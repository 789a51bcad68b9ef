"""The rungs of context, best first: a pack, passages near the question, what lies beside the program, nothing."""

from collections.abc import Mapping, Sequence

from agents.retrieve import rules
from agents.retrieve.ladder import PackLadder, Report
from schemas.records import Context, Embedding
from streams.circuit import VECTOR_STORE, Gate, outcome
from streams.errors import StoreUnavailable
from streams.packs import Pack
from streams.ports import ChunkStore, Clock, Encoder, FoundChunk
from streams.settings import RetrieveSettings
from streams.topic import request_key


class Search:
    """Finds the best context that can be had; each rung that could not is named in the degradations."""

    def __init__(
        self,
        packs: PackLadder,
        store: ChunkStore,
        static: Mapping[str, Pack],
        encoder: Encoder,
        gate: Gate,
        clock: Clock,
        settings: RetrieveSettings,
    ) -> None:
        self._packs = packs
        self._store = store
        self._static = static
        self._encoder = encoder
        self._gate = gate
        self._clock = clock
        self._settings = settings

    async def context(self, embedding: Embedding, report: Report) -> Context:
        """Return the context of a request. Calls are reported when they end."""
        request = embedding.request
        missed: tuple[str, ...] = ()
        if request.context_pack_id is not None:
            had = await self._packs.find(request.context_pack_id, embedding.origin, report)
            if had.pack is not None:
                return await self._packed(embedding, had.pack, had.degradations, rules.DATAFORGE)
            missed = had.degradations
        near = await self._near(embedding, report)
        if near is not None:
            return rules.context(embedding, near, self._settings, missed)
        missed = (*missed, rules.STORE_UNAVAILABLE)
        static = self._static.get(request.context_pack_id or "") or self._static.get(request.domain)
        if static is None:
            return rules.without_context(embedding, missed)
        return await self._packed(embedding, static, (*missed, rules.STATIC_CONTEXT), rules.STATIC)

    async def _near(self, embedding: Embedding, report: Report) -> Sequence[FoundChunk] | None:
        """Return the passages near the question, None when the store cannot be asked."""
        origin, started = embedding.origin, self._clock.now()
        if not self._gate.lets_through(VECTOR_STORE, started, request_key(origin)):
            return None
        found, failed = None, None
        try:
            found = await self._store.search(embedding.vector, limit=self._settings.candidates, tenant=origin.tenant)
        except StoreUnavailable as error:
            failed = error
        report(
            outcome(VECTOR_STORE, started=started, ended=self._clock.now(), request_id=origin.request_id, error=failed)
        )
        return found

    async def _packed(self, embedding: Embedding, pack: Pack, degradations: tuple[str, ...], source: str) -> Context:
        vectors = await self._encoder.encode(rules.texts_to_embed(pack))
        return rules.of_pack(embedding, pack, vectors, self._settings, degradations, source=source)
