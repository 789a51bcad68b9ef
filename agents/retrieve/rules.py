"""Which of the passages found become context."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from schemas.records import Chunk, Context, Embedding
from streams.ports import FoundChunk
from streams.settings import RetrieveSettings
from streams.words import content_words

STORE_UNAVAILABLE = "vector_store_unavailable"
INJECTION = "injection_suspected"
PACK_UNAVAILABLE = "context_pack_unavailable"

LEXICAL_LIFT = 0.3
NEAR_DUPLICATE = 0.85  # Jaccard of content words from which two passages say the same


def context(embedding: Embedding, found: Iterable[FoundChunk], settings: RetrieveSettings) -> Context:
    """Return the request with every passage found, best first, and the decision on each."""
    asked = content_words(embedding.request.query)
    candidates = [_candidate(chunk, asked) for chunk in found]
    candidates.sort(key=lambda chunk: (-chunk.relevance, chunk.chunk_id))
    return _context(embedding, _decided(candidates, settings), ())


def without_store(embedding: Embedding) -> Context:
    """Return the request with no passages, since the store could not be asked."""
    return _context(embedding, (), (STORE_UNAVAILABLE,))


def without(context: Context, refused: Collection[str]) -> Context:
    """Return the context with passages that look like a prompt injection dropped."""
    if not refused:
        return context
    chunks = tuple(
        replace(chunk, kept=False, reason=INJECTION) if chunk.chunk_id in refused else chunk for chunk in context.chunks
    )
    return replace(context, chunks=chunks)


def relevance(similarity: float, overlap: float) -> float:
    """Return c + 0.3 * l * (1 - c), 0 to 1, of the cosine c (its negative half is 0) and the lexical overlap l.

    Words in common lift a passage, so names and numbers count; their absence costs nothing, so paraphrases are found.
    Measured with MiniLM on the demo's 49 paraphrased questions and 15 foreign ones (2026-11-21): at 0.35 it keeps 94 %
    of the right passages and drops 73 % of the foreign questions' best; 0.7 c + 0.3 l keeps 80 % and drops 73 %.
    """
    cosine = min(1.0, max(0.0, similarity)) if math.isfinite(similarity) else 0.0
    return min(1.0, cosine + LEXICAL_LIFT * min(1.0, max(0.0, overlap)) * (1.0 - cosine))


def lexical_overlap(asked: frozenset[str], said: frozenset[str]) -> float:
    """Return the share of the question's content words that are said, 0 to 1; 0 when the question has none."""
    return len(asked & said) / len(asked) if asked else 0.0


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of all words of two texts that both hold, 0 to 1; two texts without words are the same."""
    return len(one & other) / len(one | other) if one or other else 1.0


def _candidate(chunk: FoundChunk, asked: frozenset[str]) -> Chunk:
    overlap = lexical_overlap(asked, content_words(chunk.title) | content_words(chunk.text))
    return Chunk(
        chunk_id=chunk.chunk_id,
        document_id=chunk.document_id,
        title=chunk.title,
        text=chunk.text,
        source="vector_store",
        similarity=min(1.0, max(-1.0, chunk.similarity)) if math.isfinite(chunk.similarity) else 0.0,
        relevance=relevance(chunk.similarity, overlap),
        kept=False,
        reason="",
    )


def _decided(candidates: Sequence[Chunk], settings: RetrieveSettings) -> tuple[Chunk, ...]:
    """Decide on each candidate, best first."""
    kept: list[tuple[Chunk, frozenset[str]]] = []
    decided: list[Chunk] = []
    for chunk in candidates:
        said = content_words(chunk.text)
        twin = next((other.chunk_id for other, words in kept if jaccard(said, words) >= NEAR_DUPLICATE), None)
        if chunk.relevance < settings.min_relevance:
            reason = "below_min_relevance"
        elif twin is not None:
            reason = f"near_duplicate_of:{twin}"
        elif len(kept) >= settings.keep:
            reason = "beyond_keep"
        else:
            reason = "relevant"
            kept.append((chunk, said))
        decided.append(replace(chunk, kept=reason == "relevant", reason=reason))
    return tuple(decided)


def _context(embedding: Embedding, chunks: tuple[Chunk, ...], degradations: tuple[str, ...]) -> Context:
    request = embedding.request
    if request.context_pack_id is not None:  # packs are DataForge's; no client of it is asked yet
        degradations = (*degradations, PACK_UNAVAILABLE)
    return Context(origin=embedding.origin, request=request, chunks=chunks, degradations=degradations)
