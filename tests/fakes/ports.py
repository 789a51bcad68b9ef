"""What stages ask of the outside, answered from a script."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from schemas.records import Domain, Effect, Origin, Result
from streams.errors import PipelineError
from streams.ports import FoundChunk, StoredChunk, Vector

R = TypeVar("R")


class LetterEncoder:
    """An `Encoder`: two texts are near when they share letters."""

    model = "letters"
    dimension = 26

    async def encode(self, texts: Sequence[str]) -> Sequence[Vector]:
        return [self._vector(text.lower()) for text in texts]

    def _vector(self, text: str) -> Vector:
        counts = [text.count(chr(ord("a") + at)) + 0.001 for at in range(self.dimension)]
        length = sum(count * count for count in counts) ** 0.5
        return tuple(count / length for count in counts)


class ScriptedStore:
    """A `ChunkStore` that finds what it was given and remembers what it was told."""

    def __init__(self, *found: str, error: PipelineError | None = None) -> None:
        self.documents: dict[str, Sequence[StoredChunk]] = {}
        self.tenants: list[str] = []
        self.error = error
        self._found = found

    async def replace(self, document_id: str, chunks: Sequence[StoredChunk]) -> None:
        self._fail()
        self.documents[document_id] = chunks

    async def delete(self, document_id: str) -> None:
        self._fail()
        self.documents.pop(document_id, None)

    async def search(self, vector: Vector, *, limit: int, tenant: str) -> Sequence[FoundChunk]:
        self.tenants.append(tenant)
        self._fail()
        return [
            FoundChunk(
                chunk_id=f"d{at}#0", document_id=f"d{at}", title="", text=text, domain=Domain.GENERAL, similarity=0.9
            )
            for at, text in enumerate(self._found[:limit])
        ]

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class ScriptedSink(Generic[R]):
    """A `FeedbackSink` or `ProposalSink` that takes everything, or fails as told."""

    def __init__(self, error: PipelineError | None = None) -> None:
        self.delivered: list[R] = []
        self.calls: list[int] = []
        self.error = error

    async def deliver(self, batch: Sequence[R]) -> Sequence[PipelineError | None]:
        self.calls.append(len(batch))
        if self.error is not None:
            return [self.error] * len(batch)
        self.delivered.extend(batch)
        return [None] * len(batch)


class KnownResults:
    """A `PastResults` that knows what it was told."""

    def __init__(self, *results: Result) -> None:
        self.results = {result.origin.request_id: result for result in results}

    async def find(self, origin: Origin) -> Result | None:
        return self.results.get(origin.request_id)


class RememberedEffects:
    """An `EffectMemory` of one worker that never dies."""

    def __init__(self, *known: Effect) -> None:
        self.known = {effect.effect_id: effect for effect in known}

    async def find(self, effect_id: str) -> Effect | None:
        return self.known.get(effect_id)

    def keep(self, effect: Effect) -> None:
        self.known[effect.effect_id] = effect
