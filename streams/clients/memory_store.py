"""Vectors in the process, for tests and small demonstrations; nothing is kept at exit."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from streams.errors import RecordInvalid
from streams.ports import FoundChunk, StoredChunk, Vector


class MemoryStore:
    """A `ChunkStore` that compares with every chunk of the tenant."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._documents: dict[str, tuple[StoredChunk, ...]] = {}

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Forget everything."""
        self._documents.clear()

    async def replace(self, document_id: str, chunks: Sequence[StoredChunk]) -> None:
        """Make `chunks` the whole of the document."""
        for chunk in chunks:
            self._check(chunk.vector)
        self._documents[document_id] = tuple({chunk.chunk_id: chunk for chunk in chunks}.values())

    async def replace_all(self, documents: Mapping[str, Sequence[StoredChunk]]) -> int:
        """Replace many documents."""
        for document_id, chunks in documents.items():
            await self.replace(document_id, chunks)
        return sum(len(self._documents[document_id]) for document_id in documents)

    async def documents(self) -> Collection[str]:
        """Return the ids of all documents in it."""
        return {document_id for document_id, chunks in self._documents.items() if chunks}

    async def delete(self, document_id: str) -> None:
        """Forget the document; unknown ids are fine."""
        self._documents.pop(document_id, None)

    async def search(self, vector: Vector, *, limit: int, tenant: str) -> Sequence[FoundChunk]:
        """Return the nearest chunks of the tenant, nearest first."""
        self._check(vector)
        chunks = [chunk for document in self._documents.values() for chunk in document if chunk.tenant == tenant]
        if not chunks or limit < 1:
            return []
        stored = np.array([chunk.vector for chunk in chunks])
        lengths = np.linalg.norm(stored, axis=1) * np.linalg.norm(vector)
        similarities = np.einsum("ij,j->i", stored, np.array(vector)) / np.where(lengths > 0, lengths, 1.0)
        nearest = sorted(zip(similarities.tolist(), chunks, strict=True), key=lambda pair: (-pair[0], pair[1].chunk_id))
        return [_found(chunk, similarity) for similarity, chunk in nearest[:limit]]

    def _check(self, vector: Vector) -> None:
        if len(vector) != self._dimension:
            raise RecordInvalid(f"the store holds vectors of {self._dimension} numbers, not {len(vector)}")


def _found(chunk: StoredChunk, similarity: float) -> FoundChunk:
    return FoundChunk(
        chunk_id=chunk.chunk_id,
        document_id=chunk.document_id,
        title=chunk.title,
        text=chunk.text,
        domain=chunk.domain,
        similarity=min(1.0, max(-1.0, similarity)),
    )
