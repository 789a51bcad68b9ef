"""How well the right passage is found: hit@1, hit@5 and MRR over the labelled questions of the demo's library.

`python -m tests.benchmarks.retrieval` uses the real MiniLM and the real rules of the stages index and retrieve.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from agents.index import rules as index
from agents.retrieve import rules as retrieve
from schemas.records import Chunk, Domain, Embedding, Origin, Request, Task
from streams.clients.memory_store import MemoryStore
from streams.clients.minilm import MiniLm
from streams.ports import Vector
from streams.settings import EmbedSettings, IndexSettings, RetrieveSettings
from topology.demo import library
from topology.embedded.cache import cache_directory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BY_VECTOR, BY_RELEVANCE = "vector alone", "relevance, as the stage ranks"


async def main() -> None:
    """Print the questions whose passage does not come first, and one line of figures per ranking."""
    model = MiniLm(EmbedSettings(), cache_directory("", os.environ))
    store = await _filled(model)
    ranks: dict[str, list[int]] = {BY_VECTOR: [], BY_RELEVANCE: []}
    kept = 0
    for labelled in library.labelled():
        chunks = await _found(store, labelled.question, model.vectors([labelled.question])[0])
        nearest = sorted(chunks, key=lambda chunk: -chunk.similarity)
        ranks[BY_VECTOR].append(_rank(nearest, labelled.document_id))
        ranks[BY_RELEVANCE].append(_rank(chunks, labelled.document_id))
        kept += any(chunk.kept and chunk.document_id == labelled.document_id for chunk in chunks)
        if ranks[BY_RELEVANCE][-1] > 1:
            _say(f"rank {ranks[BY_RELEVANCE][-1]:2d}  {labelled.question}  (first: {chunks[0].document_id})")
    for ranking, found in ranks.items():
        _say(_figures(ranking, found))
    _say(f"in the context of the model: {kept} of {len(library.labelled())}")


async def _filled(model: MiniLm) -> MemoryStore:
    store = MemoryStore(model.dimension)
    for document in library.documents(NOW):
        passages = index.passages(document, IndexSettings())
        vectors = model.vectors(index.texts_to_embed(document, passages))
        await store.replace(document.document_id, index.chunks(document, passages, vectors))
    return store


async def _found(store: MemoryStore, question: str, vector: Vector) -> Sequence[Chunk]:
    """Return every passage as the retrieve stage ranks them, best first."""
    origin = Origin(request_id="r", correlation_id="r", event_time=NOW, deadline=NOW + timedelta(minutes=1))
    request = Request(
        origin=origin, query=question, domain=Domain.GENERAL, task=Task.ANALYSIS, temperature=0.0, max_tokens=80
    )
    embedding = Embedding(origin=origin, request=request, embedding_id="e", model="minilm", vector=vector)
    found = await store.search(vector, limit=1_000, tenant="default")
    return retrieve.context(embedding, found, RetrieveSettings()).chunks


def _rank(chunks: Sequence[Chunk], document_id: str) -> int:
    return [chunk.document_id for chunk in chunks].index(document_id) + 1


def _figures(ranking: str, ranks: Sequence[int]) -> str:
    first, fifth = (sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 5))
    reciprocal = sum(1 / rank for rank in ranks) / len(ranks)
    return f"{ranking:30} hit@1 {first:.3f}  hit@5 {fifth:.3f}  MRR {reciprocal:.3f}  ({len(ranks)} questions)"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    asyncio.run(main())
