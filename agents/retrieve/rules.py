"""Which passages become context, and what is said about how they were come by."""

import math
import operator
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from agents.retrieve.lexical import bm25
from schemas.ids import result_id
from schemas.records import Chunk, Context, Embedding, Origin, Result, Status
from streams.degradations import NO_CONTEXT
from streams.errors import PackInvalid, PackNotFound, PipelineError, StrictRefused
from streams.packs import Pack
from streams.ports import FoundChunk, Vector
from streams.settings import DataForgeSettings, RetrieveSettings
from streams.words import content_counts, content_words

VECTOR_STORE, DATAFORGE, STATIC = "vector_store", "dataforge", "static"  # `Chunk.source`

STORE_UNAVAILABLE = "vector_store_unavailable"
PACK_UNAVAILABLE = "context_pack_unavailable"
PACK_NOT_FOUND = "context_pack_not_found"
PACK_INVALID = "context_pack_invalid"
PACK_INCOMPLETE = "context_pack_incomplete"
PACK_STALE = "context_pack_stale"
PRIMARY_REFUSED = "context_pack_primary_refused"
STATIC_CONTEXT = "static_context"
PROFILE_UNAVAILABLE = "profile_unavailable"

RELEVANT, PRIMARY, INJECTION = "relevant", "primary", "injection_suspected"

SILENCE_S = 1.0  # who has not answered for so long is unwell; less says only that somebody was in a hurry
LEXICAL_LIFT = 0.3
NEAR_DUPLICATE = 0.85  # Jaccard of content words from which two passages say the same


def context(
    embedding: Embedding, found: Iterable[FoundChunk], settings: RetrieveSettings, degradations: tuple[str, ...] = ()
) -> Context:
    """Return the request with every passage found, best first, and the decision on each."""
    chunks = [_found(chunk) for chunk in found]
    return _context(embedding, _decided(embedding.request.query, chunks, settings), degradations)


def of_pack(
    embedding: Embedding,
    pack: Pack,
    vectors: Sequence[Vector],
    settings: RetrieveSettings,
    degradations: tuple[str, ...] = (),
    *,
    source: str = DATAFORGE,
) -> Context:
    """Return the request with a pack: its primary passages whole and first, the others as far as they are relevant."""
    chunks = [
        Chunk(
            chunk_id=passage.chunk_id,
            document_id=passage.document_id,
            title=passage.title,
            text=passage.text,
            source=source,
            similarity=_cosine(sum(map(operator.mul, embedding.vector, vector))),
            relevance=0.0,
            kept=False,
            reason="",
            primary=passage.primary,
        )
        for passage, vector in zip(pack.passages, vectors, strict=True)
    ]
    if pack.incomplete:
        degradations = (*degradations, PACK_INCOMPLETE)
    decided = _decided(embedding.request.query, chunks, settings)
    version = pack.version if source == DATAFORGE else None
    return replace(_context(embedding, decided, degradations), pack_version=version)


def without_context(embedding: Embedding, degradations: tuple[str, ...]) -> Context:
    """Return the request with no passages, since none could be had."""
    return _context(embedding, (), (*degradations, NO_CONTEXT))


def texts_to_embed(pack: Pack) -> Sequence[str]:
    """Return what is embedded for each passage, as `index` does: the title belongs to its meaning."""
    return [f"{passage.title}\n{passage.text}" if passage.title else passage.text for passage in pack.passages]


def without(context: Context, refused: Collection[str]) -> Context:
    """Return the context with passages that look like a prompt injection dropped."""
    if not refused:
        return context
    chunks = tuple(
        replace(chunk, kept=False, reason=INJECTION) if chunk.chunk_id in refused else chunk for chunk in context.chunks
    )
    primary = any(chunk.primary and chunk.chunk_id in refused for chunk in context.chunks)
    return replace(
        context,
        chunks=chunks,
        degradations=(*context.degradations, PRIMARY_REFUSED) if primary else context.degradations,
    )


def with_asker(context: Context, profile: str | None) -> Context:
    """Return the context with who asks; None says that it could not be had."""
    if profile is None:
        return replace(context, degradations=(*context.degradations, PROFILE_UNAVAILABLE))
    return replace(context, persona=profile) if profile else context


def refusal(context: Context, at: datetime) -> Result | None:
    """Return the end of a strict request that has no undegraded context: no model is asked for it."""
    if not context.request.strict or not context.degradations:
        return None
    missing = ", ".join(context.degradations)
    error = StrictRefused(f"only a degraded answer could be had ({missing}); ask without `strict`")
    return Result(
        origin=context.origin,
        result_id=result_id(context.origin.request_id),
        status=Status.FAILED,
        errors=(error.report(at),),
        degradations=context.degradations,
        pack_version=context.pack_version,
        risk=context.request.risk,
        limits=context.request.limits,
    )


def why_without_pack(error: PipelineError | None) -> str:
    """Return the degradation that says why a pack could not be had."""
    if isinstance(error, PackNotFound):
        return PACK_NOT_FOUND
    return PACK_INVALID if isinstance(error, PackInvalid) else PACK_UNAVAILABLE


def pauses_s(settings: DataForgeSettings) -> Iterator[float]:
    """Yield the pauses before a pack is asked for again: 2, 4 and 8 s by default."""
    return (settings.pack_retry_s * 2**attempt for attempt in range(settings.pack_retries))


def patience_s(origin: Origin, at: datetime, settings: DataForgeSettings) -> float:
    """Return how long a request may wait for its pack: what its deadline leaves beside the reserve, or half of all there is."""
    left_s = (origin.deadline - at).total_seconds()
    return max(left_s - settings.pack_reserve_s, left_s / 2)


def relevance(similarity: float, lexical: float) -> float:
    """Return c + 0.3 * l * (1 - c), 0 to 1, of the cosine c (its negative half is 0) and the lexical score l.

    Words in common lift a passage, so names and numbers count; their absence costs nothing, so paraphrases are found.
    docs/context.md has the measurements.
    """
    cosine = max(0.0, _cosine(similarity))
    return min(1.0, cosine + LEXICAL_LIFT * min(1.0, max(0.0, lexical)) * (1.0 - cosine))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of all words of two texts that both hold, 0 to 1; two texts without words are the same."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if one or other else 1.0


def _found(chunk: FoundChunk) -> Chunk:
    return Chunk(
        chunk_id=chunk.chunk_id,
        document_id=chunk.document_id,
        title=chunk.title,
        text=chunk.text,
        source=VECTOR_STORE,
        similarity=_cosine(chunk.similarity),
        relevance=0.0,
        kept=False,
        reason="",
    )


def _cosine(similarity: float) -> float:
    return min(1.0, max(-1.0, similarity)) if math.isfinite(similarity) else 0.0


def _decided(query: str, chunks: Sequence[Chunk], settings: RetrieveSettings) -> tuple[Chunk, ...]:
    """Score every chunk and decide on it; primary ones first, then the most relevant."""
    lexical = bm25(content_words(query), [content_counts(f"{chunk.title}\n{chunk.text}") for chunk in chunks])
    scored = [(relevance(chunk.similarity, score), chunk) for chunk, score in zip(chunks, lexical, strict=True)]
    primary = [(score, chunk) for score, chunk in scored if chunk.primary]
    others = [(score, chunk) for score, chunk in scored if not chunk.primary]
    others.sort(key=lambda scored: (-scored[0], scored[1].chunk_id))
    reasons = (*(PRIMARY for _ in primary), *_reasons([chunk for _, chunk in primary], others, settings))
    return tuple(
        replace(chunk, relevance=score, kept=reason in {RELEVANT, PRIMARY}, reason=reason)
        for (score, chunk), reason in zip((*primary, *others), reasons, strict=True)
    )


def _reasons(
    primary: Sequence[Chunk], others: Sequence[tuple[float, Chunk]], settings: RetrieveSettings
) -> Sequence[str]:
    """Choose by maximal marginal relevance: the most relevant that is least like what is kept already.

    Carbonell and Goldstein (1998), with the Jaccard of content words for likeness.
    """
    reasons = ["below_min_relevance" if score < settings.min_relevance else "" for score, _ in others]
    said = [content_words(chunk.text) for _, chunk in others]
    likeness = [0.0] * len(others)
    newest = [(chunk.chunk_id, content_words(chunk.text)) for chunk in primary]
    waiting = [at for at, reason in enumerate(reasons) if not reason]
    for chosen in range(settings.keep + 1):
        for at in waiting:
            for chunk_id, words in newest:
                likeness[at] = max(likeness[at], alike := jaccard(said[at], words))
                if alike >= NEAR_DUPLICATE:
                    reasons[at] = f"near_duplicate_of:{chunk_id}"
        waiting = [at for at in waiting if not reasons[at]]
        if not waiting or chosen == settings.keep:
            break
        worth = {at: (1 - settings.diversity) * others[at][0] - settings.diversity * likeness[at] for at in waiting}
        best = max(waiting, key=worth.__getitem__)
        reasons[best] = RELEVANT
        waiting.remove(best)
        newest = [(others[best][1].chunk_id, said[best])]
    return [reason or "beyond_keep" for reason in reasons]


def _context(embedding: Embedding, chunks: tuple[Chunk, ...], degradations: tuple[str, ...]) -> Context:
    return Context(origin=embedding.origin, request=embedding.request, chunks=chunks, degradations=degradations)
