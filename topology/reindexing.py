"""Rebuilding the vector store from the knowledge topic: in place, or into a collection beside the one in use.

How far it came is committed as a group of its own after every batch the store has confirmed, so that the next run goes on there.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from agents.index import rules
from schemas.codec import RecordUndecodable
from schemas.records import KnowledgeDocument
from streams.errors import RecordInvalid, StartRefused
from streams.ports import Encoder, RebuildableStore, StoredChunk
from streams.settings import Settings
from topology.cluster import Cluster
from topology.contract import open_schemas
from topology.reading import Decoder, Read, reader_at
from topology.topics import Topics

BATCH_CHUNKS = 256  # written and flushed together
BATCH_DOCUMENTS = 64

Place = tuple[str, int]
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run did. `chunks` are those the store has confirmed; `left_out` names the documents that cannot be stored."""

    collection: str
    model: str
    documents: int
    chunks: int
    deleted: int
    stale: int
    known_before: int
    left_out: tuple[str, ...]
    seconds: float


@dataclass(slots=True)
class _Batch:
    documents: dict[str, Sequence[rules.Part]] = field(default_factory=dict)
    read: dict[str, KnowledgeDocument] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    upto: dict[Place, int] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        return len(self.read) >= BATCH_DOCUMENTS or sum(map(len, self.documents.values())) >= BATCH_CHUNKS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Survey:
    """The topic as it is at the start: where it begins, and of every document the newest record and whether it lives."""

    first: Mapping[Place, int]
    newest: Mapping[str, tuple[Place, int]]
    living: Collection[str]


class Rebuild:
    """One run.

    Args:
        advance: told how many documents of how many are done.
    """

    def __init__(self, settings: Settings, store: RebuildableStore, encoder: Encoder, advance: Advance) -> None:
        self._settings = settings
        self._store = store
        self._encoder = encoder
        self._advance = advance
        self._topic = Topics.of(settings.kafka).knowledge
        self._cluster = Cluster(settings.kafka)
        self._group = f"{settings.kafka.topic_prefix}forgestream-reindex-{settings.store.collection}"
        self._documents = self._chunks = self._deleted = 0
        self._left_out: list[str] = []
        self._seen: set[str] = set()

    async def run(self, *, start_over: bool = False) -> Report:
        """Index what the topic holds and the store does not; forget what the store holds and the topic does not.

        Raises:
            StartRefused: there is no such topic.
            StoreUnavailable: the store does not answer; run again to go on.
        """
        began = time.monotonic()
        before = await self._store.documents()
        survey = await self._survey()
        committed = {} if start_over or not before else await self._cluster.committed(self._group)
        starts = {place: max(first, committed.get(place, 0)) for place, first in survey.first.items()}
        known = sum(offset < starts[place] for place, offset in survey.newest.values())
        await self._index(survey, starts, known)
        stale = [name for name in before if name not in survey.living and name not in self._seen]
        for name in stale:
            await self._store.delete(name)
        return Report(
            collection=self._settings.store.collection,
            model=self._encoder.model,
            documents=self._documents,
            chunks=self._chunks,
            deleted=self._deleted,
            stale=len(stale),
            known_before=known,
            left_out=tuple(self._left_out),
            seconds=time.monotonic() - began,
        )

    async def _survey(self) -> _Survey:
        existing = await self._cluster.topics()
        if self._topic.name not in existing:
            raise StartRefused(f"there is no topic {self._topic.name}; see `forgestream topics`")
        offsets = await self._cluster.offsets([existing[self._topic.name]])
        first = {place: start for place, (start, _) in offsets.items()}
        newest: dict[str, tuple[Place, int]] = {}
        living: set[str] = set()
        async with aclosing(reader_at(first, self._settings.kafka, follow=False).records()) as records:
            async for read in records:
                name = _name(read)
                newest[name] = ((read.topic, read.partition), read.offset)
                (living.discard if read.value is None else living.add)(name)
        return _Survey(first=first, newest=newest, living=living)

    async def _index(self, survey: _Survey, starts: Mapping[Place, int], done: int) -> None:
        schemas = await open_schemas(self._settings.registry, [self._topic])
        decoder = Decoder(schemas, [self._topic])
        total = len(survey.newest)
        self._advance(done, total)
        batch = _Batch()

        async def flush() -> None:
            nonlocal batch, done
            await self._written(batch)
            done = min(total, done + len(batch.read) + len(batch.gone))
            self._advance(done, total)
            batch = _Batch()

        async with aclosing(reader_at(starts, self._settings.kafka, follow=False).records()) as records:
            async for read in records:
                name, place = _name(read), (read.topic, read.partition)
                batch.upto[place] = read.offset + 1
                if survey.newest.get(name, (place, -1))[1] <= read.offset:  # else a newer version comes
                    await self._added(batch, name, read, decoder)
                if batch.full:
                    await flush()
        await flush()

    async def _added(self, batch: _Batch, name: str, read: Read, decoder: Decoder) -> None:
        self._seen.add(name)
        if read.value is None:
            batch.gone.append(name)
            return
        try:
            document = await decoder.record(read)
            batch.documents[name] = rules.passages(document, self._settings.index)
            batch.read[name] = document
        except (RecordUndecodable, RecordInvalid) as error:
            self._left_out.append(f"{name}: {error}")

    async def _written(self, batch: _Batch) -> None:
        """Store a batch, then note how far the topic is done."""
        texts = {name: rules.texts_to_embed(parts) for name, parts in batch.documents.items()}
        vectors = iter(await self._encoder.encode([text for one in texts.values() for text in one]) if texts else ())
        stored = {
            name: rules.chunks(document, batch.documents[name], [next(vectors) for _ in texts[name]])
            for name, document in batch.read.items()
        }
        try:
            self._chunks += await self._store.replace_all(stored)
            self._documents += len(stored)
        except RecordInvalid:
            await self._one_by_one(stored)
        for name in batch.gone:
            await self._store.delete(name)
        self._deleted += len(batch.gone)
        if batch.upto:
            await self._cluster.commit(self._group, batch.upto)

    async def _one_by_one(self, stored: Mapping[str, Sequence[StoredChunk]]) -> None:
        """Store the documents that can be stored."""
        for name, chunks in stored.items():
            try:
                self._chunks += await self._store.replace_all({name: chunks})
                self._documents += 1
            except RecordInvalid as error:
                self._left_out.append(f"{name}: {error.message}")


def _name(read: Read) -> str:
    return (read.key or b"").decode("utf-8", "replace")
