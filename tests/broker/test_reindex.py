"""`forgestream reindex` on a real broker and a real Milvus Lite file."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from schemas.records import KnowledgeDocument
from schemas.registry import serde
from streams.clients.hashing import Hashing
from streams.clients.memory_store import MemoryStore
from streams.clients.providers import store_of
from streams.errors import StartRefused, StoreUnavailable
from streams.ports import StoredChunk
from streams.settings import EmbedSettings, KafkaSettings, Settings, StoreSettings
from tests.broker.test_command_line import Shell
from tests.given import NOON
from tests.pipeline.world import HashingEncoder
from topology.contract import open_schemas
from topology.producing import Outgoing, deliver
from topology.provision import plan_of, provision
from topology.reindexing import BATCH_DOCUMENTS, Rebuild, Report
from topology.topics import Topics

WORDS = ("whale", "harpoon", "ocean", "captain", "monster", "glacier", "letter", "novel")


@dataclass(frozen=True)
class Library:
    """A knowledge topic of its own."""

    settings: Settings
    topics: Topics

    async def put(self, documents: Mapping[str, str | None]) -> None:
        topic = self.topics.knowledge
        codec = serde(await open_schemas(self.settings.registry, [topic]), topic.name, KnowledgeDocument)
        values = {
            name: None
            if text is None
            else codec.encode(KnowledgeDocument(document_id=name, title=name, text=text, updated_at=NOON))
            for name, text in documents.items()
        }
        records = [Outgoing(topic=topic.name, key=name.encode(), value=value) for name, value in values.items()]
        await deliver(records, self.settings)


@pytest.fixture
async def library(kafka: str, namespace: str) -> Library:
    settings = Settings(
        kafka=KafkaSettings(bootstrap=kafka, topic_prefix=namespace, partitions=2),
        embed=EmbedSettings(provider="hashing"),
    )
    topics = Topics.of(settings.kafka)
    await provision([plan_of(topics.knowledge, settings.kafka)], settings.kafka)
    return Library(settings, topics)


class FailingStore(MemoryStore):
    """Confirms some batches, then no more."""

    def __init__(self, batches: int) -> None:
        super().__init__(Hashing.dimension)
        self.batches = batches
        self.written: list[str] = []

    async def replace_all(self, documents: Mapping[str, Sequence[StoredChunk]]) -> int:
        if self.batches == 0:
            raise StoreUnavailable("gone")
        self.batches -= 1
        self.written += documents
        return await super().replace_all(documents)


def texts(numbers: Collection[int]) -> dict[str, str | None]:
    return {f"d{number}": f"{WORDS[number % 8]} number {number}" for number in numbers}


async def rebuilt(library: Library, store: MemoryStore, *, start_over: bool = False) -> Report:
    return await Rebuild(library.settings, store, HashingEncoder(), lambda *_: None).run(start_over=start_over)


async def test_the_store_becomes_what_the_topic_says(library: Library) -> None:
    """The newest version of each document, none that was deleted, and nothing the topic does not know."""
    await library.put(texts(range(10)))
    await library.put({"d1": "a glacier instead", "d2": None, "d3": "", "d4": "x" * 5_000})
    store = MemoryStore(Hashing.dimension)
    (stray,) = await HashingEncoder().encode(["stray"])
    old = StoredChunk(
        chunk_id="old#0", document_id="old", title="", text="stray", domain=_document().domain, tenant="default",
        position=0, vector=stray,
    )  # fmt: skip
    await store.replace("old", [old])

    done = await rebuilt(library, store)

    assert await store.documents() == {f"d{number}" for number in range(10)} - {"d2", "d3"}
    (vector,) = await HashingEncoder().encode(["d1\na glacier instead"])
    assert (await store.search(vector, limit=1, tenant="default"))[0].text == "a glacier instead"
    assert (done.documents, done.deleted, done.stale, done.left_out) == (9, 1, 1, ())
    assert done.chunks >= 8


def _document() -> KnowledgeDocument:
    return KnowledgeDocument(document_id="d", title="", text="", updated_at=NOON)


async def test_an_interrupted_run_goes_on_after_the_last_batch_the_store_confirmed(library: Library) -> None:
    await library.put(texts(range(BATCH_DOCUMENTS * 3)))
    store = FailingStore(batches=1)
    with pytest.raises(StoreUnavailable):
        await rebuilt(library, store)
    store.batches = 100

    done = await rebuilt(library, store)

    assert await store.documents() == set(texts(range(BATCH_DOCUMENTS * 3)))
    assert len(store.written) == len(set(store.written)) == BATCH_DOCUMENTS * 3
    assert (done.known_before, done.documents) == (BATCH_DOCUMENTS, BATCH_DOCUMENTS * 2)
    again = await rebuilt(library, store)
    assert (again.documents, again.chunks) == (0, 0)
    await library.put({"late": "came meanwhile", "d0": None})
    last = await rebuilt(library, store)
    assert (last.documents, last.deleted, last.stale) == (1, 1, 0)
    assert (await rebuilt(library, store, start_over=True)).documents == BATCH_DOCUMENTS * 3


async def test_a_store_that_was_lost_is_filled_from_the_beginning(library: Library) -> None:
    await library.put(texts(range(5)))
    await rebuilt(library, MemoryStore(Hashing.dimension))

    done = await rebuilt(library, fresh := MemoryStore(Hashing.dimension))

    assert (done.documents, await fresh.documents()) == (5, set(texts(range(5))))


async def test_what_is_no_document_is_named_and_left_out(library: Library) -> None:
    await library.put({**texts(range(3)), "x" * 300: "an id that is too long"})
    garbage = Outgoing(topic=library.topics.knowledge.name, key=b"garbage", value=b"\x00garbage")
    await deliver([garbage], library.settings)

    done = await rebuilt(library, store := MemoryStore(Hashing.dimension))

    assert await store.documents() == set(texts(range(3)))
    assert sorted(problem.partition(":")[0] for problem in done.left_out) == ["garbage", "x" * 300]


async def test_the_command_fills_a_collection_beside_the_old_one_and_says_what_it_did(
    library: Library, tmp_path: Path
) -> None:
    await library.put(texts(range(6)))
    uri = str(tmp_path / "chunks.db")
    settings = replace(library.settings, store=StoreSettings(uri=uri))
    shell = Terminal(settings=settings, topics=library.topics)

    first = shell.run("reindex", "--json")
    beside = shell.run("reindex", "--into", "chunks_v2", "--json")
    shown = shell.run("reindex", "--into", "chunks_v2")

    assert (first.returncode, json.loads(first.stdout)["chunks"]) == (0, 6), first.stderr
    assert (json.loads(beside.stdout)["collection"], json.loads(beside.stdout)["documents"]) == ("chunks_v2", 6)
    assert "documents known from an earlier run" in shown.stdout
    for collection in (StoreSettings().collection, "chunks_v2"):
        store = store_of(StoreSettings(uri=uri, collection=collection), tmp_path, Hashing.dimension, Hashing.name)
        await store.start()
        assert await store.documents() == set(texts(range(6)))
        await store.close()
    other = store_of(StoreSettings(uri=uri, collection="chunks_v2"), tmp_path, Hashing.dimension, "another model")
    with pytest.raises(StartRefused, match=r"holds vectors of hashing.* not of another model"):
        await other.start()
    await other.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--into", "no-dashes"], "letters, digits and underscores"),
        (["--model", "other"], "needs a collection of its own"),
        ([], "ends with this command"),
    ],
)
async def test_what_cannot_be_done_is_said_before_anything_is(
    library: Library, arguments: Sequence[str], said: str
) -> None:
    shell = Shell(settings=library.settings, topics=library.topics)

    done = shell.run("reindex", *arguments)

    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


class Terminal(Shell):
    """A terminal that also names store and model."""

    @property
    def environment(self) -> dict[str, str]:
        kafka = self.settings.kafka
        return {
            "FORGESTREAM_KAFKA": kafka.bootstrap,
            "FORGESTREAM_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "FORGESTREAM_STORE_URI": self.settings.store.uri,
            "FORGESTREAM_STORE_TIMEOUT_S": "30",
            "FORGESTREAM_EMBED_PROVIDER": "hashing",
        }
