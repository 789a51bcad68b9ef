"""How well the right passage is found: hit@1, hit@5 and MRR over labelled questions.

`make context` uses the real MiniLM and the real rules of the stages index and retrieve, and writes its table
into docs/context.md.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agents.index import rules as index
from agents.retrieve import rules as retrieve
from agents.retrieve.lexical import bm25
from schemas.records import Chunk, Domain, Embedding, Origin, Request, Task
from streams.clients.memory_store import MemoryStore
from streams.clients.minilm import MiniLm
from streams.ports import FoundChunk, Vector
from streams.settings import EmbedSettings, IndexSettings, RetrieveSettings
from streams.words import content_counts, content_words
from tests.benchmarks.written import place, write_part
from topology.demo import library
from topology.embedded.cache import cache_directory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Ranking = Callable[[str, Sequence[FoundChunk]], Sequence[str]]


def by_vector(_: str, found: Sequence[FoundChunk]) -> Sequence[str]:
    """Rank by cosine alone."""
    return [chunk.document_id for chunk in found]


def by_words(question: str, found: Sequence[FoundChunk]) -> Sequence[str]:
    """Rank by BM25 over everything."""
    return _sorted(found, _lexical(question, found))


def by_overlap(question: str, found: Sequence[FoundChunk]) -> Sequence[str]:
    """Rank by cosine, lifted by the share of the question's words that are said."""
    asked = content_words(question)
    shares = [len(asked & content_words(f"{chunk.title}\n{chunk.text}")) / max(1, len(asked)) for chunk in found]
    return _sorted(
        found, [retrieve.relevance(chunk.similarity, share) for chunk, share in zip(found, shares, strict=True)]
    )


def by_relevance(question: str, found: Sequence[FoundChunk]) -> Sequence[str]:
    """Rank as the stage does: BM25 over the nearest, which lifts their cosine."""
    near = found[: RetrieveSettings().candidates]
    scores = [
        retrieve.relevance(chunk.similarity, lexical)
        for chunk, lexical in zip(near, _lexical(question, near), strict=True)
    ]
    return [*_sorted(near, scores), *(chunk.document_id for chunk in found[len(near) :])]


OURS = "cosine lifted by BM25, as the stage ranks"
RANKINGS: Mapping[str, Ranking] = {
    "cosine alone": by_vector,
    "BM25 alone": by_words,
    "cosine lifted by shared words": by_overlap,
    OURS: by_relevance,
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The rank of the right passage for every question and ranking, and what the stage makes of the questions."""

    ranks: Mapping[str, Sequence[int]]
    kept: int  # right passages in the context
    dropped: int  # foreign questions without any passage in theirs
    missed: Sequence[str]  # questions whose passage does not come first

    def quality(self, ranking: str) -> tuple[float, float, float]:
        """Return hit@1, hit@5 and the mean reciprocal rank."""
        ranks = self.ranks[ranking]
        first, fifth = (sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 5))
        return first, fifth, sum(1 / rank for rank in ranks) / len(ranks)


async def find() -> Found:
    """Ask every question."""
    model = MiniLm(EmbedSettings(), cache_directory("", os.environ))
    store = await _filled(model)
    ranks: dict[str, list[int]] = {name: [] for name in RANKINGS}
    kept, missed = 0, []
    for labelled in library.labelled():
        vector = model.vectors([labelled.question])[0]
        found = await store.search(vector, limit=1_000, tenant="default")
        for name, ranking in RANKINGS.items():
            ranks[name].append(list(ranking(labelled.question, found)).index(labelled.document_id) + 1)
        chunks = _decided(labelled.question, vector, found[: RetrieveSettings().candidates])
        kept += any(chunk.kept and chunk.document_id == labelled.document_id for chunk in chunks)
        if (rank := ranks[OURS][-1]) > 1:
            missed.append(f"rank {rank:2d}  {labelled.question}  (first: {chunks[0].document_id})")
    foreign = [
        _best(question, model.vectors([question])[0], await _near(store, model, question)) for question in FOREIGN
    ]
    dropped = sum(best < RetrieveSettings().min_relevance for best in foreign)
    return Found(ranks=ranks, kept=kept, dropped=dropped, missed=missed)


async def main() -> None:
    """Measure, print the questions whose passage does not come first, and write the table."""
    found = await find()
    print("\n".join(found.missed))
    asked = len(found.ranks[OURS])
    about = (
        f"{asked} paraphrased questions over the {len(library.documents(NOW))} documents of the demo's library, each with the one "
        f"that answers it. In the context of the model: {found.kept} of {asked}. Of {len(FOREIGN)} questions that nothing in it "
        f"answers, {found.dropped} have no passage in their context. `make context`; {place()}."
    )
    rows = [
        f"| {name} | {first:.3f} | {fifth:.3f} | {reciprocal:.3f} |"
        for name, (first, fifth, reciprocal) in ((name, found.quality(name)) for name in RANKINGS)
    ]
    table = "\n".join(["| ranking | hit@1 | hit@5 | MRR |", "|---|---|---|---|", *rows])
    write_part("docs/context.md", "retrieval", f"{about}\n\n{table}")


FOREIGN = (
    "How do I reset the password of my router?",
    "What is the best recipe for sourdough bread?",
    "Who won the football world cup in 1998?",
    "How many players has a rugby team?",
    "Which visa do I need for Vietnam?",
    "How do I change the oil of a lawn mower?",
    "What does a cardiologist earn in Norway?",
    "How do I knit a cable stitch?",
    "When does the last train to Basel leave?",
    "Which vaccine does a kitten need first?",
    "How do I sort a list in Haskell?",
    "What is the boiling point of mercury?",
    "Who composed the opera Tosca?",
    "How long does cement take to harden?",
    "Which tie goes with a brown suit?",
)


async def _near(store: MemoryStore, model: MiniLm, question: str) -> Sequence[FoundChunk]:
    vector = model.vectors([question])[0]
    return await store.search(vector, limit=RetrieveSettings().candidates, tenant="default")


def _best(question: str, vector: Vector, found: Sequence[FoundChunk]) -> float:
    return max(chunk.relevance for chunk in _decided(question, vector, found))


def _lexical(question: str, found: Sequence[FoundChunk]) -> Sequence[float]:
    return bm25(content_words(question), [content_counts(f"{chunk.title}\n{chunk.text}") for chunk in found])


def _sorted(found: Sequence[FoundChunk], scores: Sequence[float]) -> Sequence[str]:
    ranked = sorted(zip(scores, found, strict=True), key=lambda pair: (-pair[0], pair[1].chunk_id))
    return [chunk.document_id for _, chunk in ranked]


async def _filled(model: MiniLm) -> MemoryStore:
    store = MemoryStore(model.dimension)
    for document in library.documents(NOW):
        passages = index.passages(document, IndexSettings())
        vectors = model.vectors(index.texts_to_embed(passages))
        await store.replace(document.document_id, index.chunks(document, passages, vectors))
    return store


def _decided(question: str, vector: Vector, found: Sequence[FoundChunk]) -> Sequence[Chunk]:
    """Return the passages with the decisions of the retrieve stage."""
    origin = Origin(request_id="r", correlation_id="r", event_time=NOW, deadline=NOW + timedelta(minutes=1))
    request = Request(
        origin=origin, query=question, domain=Domain.GENERAL, task=Task.ANALYSIS, temperature=0.0, max_tokens=80
    )
    embedding = Embedding(origin=origin, request=request, embedding_id="e", model="minilm", vector=vector)
    return retrieve.context(embedding, found, RetrieveSettings()).chunks


if __name__ == "__main__":
    asyncio.run(main())
