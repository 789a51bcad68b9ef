"""Micro-batching: texts of concurrent calls share a forward pass; vectors are remembered by content."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from streams.endless import Endless
from streams.errors import PipelineError, ProviderUnavailable
from streams.ports import Vector
from streams.settings import EmbedSettings

WAITING_BATCHES = 16


class EmbeddingModel(Protocol):
    """A model as a thread uses it: every call blocks, and only one runs at a time."""

    name: str
    dimension: int

    def load(self) -> None:
        """Make ready for the first call; does nothing the second time.

        Raises:
            ModelMissing: a package or file is not there, or the cache cannot be written.
        """

    def vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text, in order."""

    def close(self) -> None:
        """Give back what is open."""


@dataclass(frozen=True, slots=True)
class _Job:
    digest: bytes
    text: str
    vector: "asyncio.Future[Vector]"


class BatchedEncoder:
    """An `Encoder` over any `EmbeddingModel`.

    While a batch is under way the next one fills by itself. The first batch after a pause does not wait, so a lone text
    is answered at once; only when calls were seen to overlap is `batch_wait_ms` spent on a fuller batch.
    """

    def __init__(self, model: EmbeddingModel, settings: EmbedSettings) -> None:
        self.model = model.name
        self.dimension = model.dimension
        self._forward = model
        self._settings = settings
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue(settings.batch_size * WAITING_BATCHES)
        self._under_way: dict[bytes, asyncio.Future[Vector]] = {}
        self._remembered: OrderedDict[bytes, Vector] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed")
        self._pump = Endless(self._work, name="embed-batches")
        self._closed = False

    async def start(self) -> None:
        """Load the model before the first text comes. Raises ModelMissing."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._forward.load)
        self.dimension = self._forward.dimension  # of some models only known now
        self._pump.start()

    async def close(self) -> None:
        """Stop; texts still waiting get `ProviderUnavailable`."""
        self._closed = True
        await self._pump.close()
        for waiting in self._under_way.values():
            if not waiting.done():
                waiting.set_exception(ProviderUnavailable("the embedding model was shut down"))
        self._under_way.clear()
        await asyncio.to_thread(self._thread.shutdown)
        self._forward.close()

    async def encode(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one vector per text, in order; equal texts are computed once.

        Raises:
            ProviderUnavailable: the model failed, or was shut down.
            ProviderRefused: it will never take one of these texts.
            ModelMissing: it was never there.
        """
        if self._closed:
            raise ProviderUnavailable("the embedding model was shut down")
        if not self._pump.begun:
            await self.start()
        vectors = [await self._vector(text) for text in texts]
        waiting = [vector for vector in vectors if isinstance(vector, asyncio.Future)]
        if waiting:
            await asyncio.wait(waiting)  # leaves the futures alone when this caller is cancelled: others share them
        return [vector.result() if isinstance(vector, asyncio.Future) else vector for vector in vectors]

    async def _vector(self, text: str) -> "Vector | asyncio.Future[Vector]":
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        if digest in self._remembered:
            self._remembered.move_to_end(digest)
            return self._remembered[digest]
        if digest in self._under_way:
            return self._under_way[digest]
        vector: asyncio.Future[Vector] = asyncio.get_running_loop().create_future()
        vector.add_done_callback(_seen)
        self._under_way[digest] = vector
        try:
            await self._jobs.put(_Job(digest, text, vector))
        except asyncio.CancelledError:
            self._under_way.pop(digest, None)
            vector.set_exception(ProviderUnavailable("the call that queued this text was cancelled"))
            raise
        return vector

    async def _work(self) -> None:
        overlapping = False
        while True:
            batch = await self._next_batch(overlapping=overlapping)
            overlapping = len(batch) > 1 or not self._jobs.empty()
            try:
                await self._settle(batch)
            finally:
                self._fail(
                    batch, ProviderUnavailable(f"{self.model} was left before it had answered")
                )  # who still waits

    async def _settle(self, batch: Sequence[_Job]) -> None:
        """Give every text its vector or its error. A batch that is refused is tried in halves: one text spoils no other."""
        computing = asyncio.get_running_loop().run_in_executor(self._thread, self._vectors, [job.text for job in batch])
        try:
            await asyncio.wait([computing])  # raises nothing: whatever a model raises is for those who asked
        finally:
            computing.cancel()
        error = computing.exception()
        if error is None:
            self._deliver(batch, computing.result())
        elif len(batch) == 1 or (isinstance(error, PipelineError) and error.retryable):
            self._fail(batch, error)
        else:
            middle = len(batch) // 2
            await self._settle(batch[:middle])
            await self._settle(batch[middle:])

    def _vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Ask the model, on its thread."""
        try:
            vectors = self._forward.vectors(texts)
        except (RuntimeError, ValueError, MemoryError, OSError) as error:
            raise ProviderUnavailable(f"{self.model} failed on a batch of {len(texts)} texts") from error
        if len(vectors) != len(texts):
            raise ProviderUnavailable(f"{self.model} returned {len(vectors)} vectors for {len(texts)} texts")
        return vectors

    async def _next_batch(self, *, overlapping: bool) -> list[_Job]:
        batch = [await self._jobs.get()]
        await asyncio.sleep(0)  # lets calls made in the same turn of the loop join
        self._take(batch)
        if overlapping and len(batch) < self._settings.batch_size and self._settings.batch_wait_ms:
            await asyncio.sleep(self._settings.batch_wait_ms / 1000)
            self._take(batch)
        return batch

    def _take(self, batch: list[_Job]) -> None:
        while len(batch) < self._settings.batch_size and not self._jobs.empty():
            batch.append(self._jobs.get_nowait())

    def _deliver(self, batch: Sequence[_Job], vectors: Sequence[Vector]) -> None:
        for job, vector in zip(batch, vectors, strict=True):
            self._under_way.pop(job.digest, None)
            if self._settings.cache_size:
                self._remembered[job.digest] = vector
            if not job.vector.done():
                job.vector.set_result(vector)
        while len(self._remembered) > self._settings.cache_size:
            self._remembered.popitem(last=False)

    def _fail(self, batch: Sequence[_Job], error: BaseException) -> None:
        for job in batch:
            if not job.vector.done():
                self._under_way.pop(job.digest, None)
                job.vector.set_exception(error)


def _seen(vector: "asyncio.Future[Vector]") -> None:
    """Take note of the error, so that asyncio does not report it as lost when every caller is gone."""
    if not vector.cancelled():
        vector.exception()
