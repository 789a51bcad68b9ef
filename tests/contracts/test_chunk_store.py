"""One behaviour suite for every `ChunkStore`: in memory, and the real Milvus Lite in a file."""

import asyncio
import itertools
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from schemas.records import Domain
from streams.clients.providers import OwnedStore, store_of
from streams.errors import RecordInvalid, StartRefused, StoreUnavailable
from streams.ports import StoredChunk, Vector
from streams.settings import StoreSettings

HOSTILE = (
    'a" or tenant_key != "',
    "a' or 1==1 or '",
    "back\\slash",
    "line\nbreak\ttab\0null",
    "",
    "{tenant}",
    "日本語 🦊 \u202ertl",
    "x" * 10_000,
)


@pytest.fixture(params=["memory", "milvus-lite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OwnedStore]:
    uri = "memory" if request.param == "memory" else ""
    opened = store_of(StoreSettings(uri=uri, timeout_s=30), tmp_path, 4)
    await opened.start()
    yield opened
    await opened.close()


def unit(angle: int) -> Vector:
    """Return a vector that is the farther from angle 0 the larger its angle is."""
    vector = [0.0, 0.0, 0.0, 0.0]
    vector[0], vector[1] = 1.0 - 0.1 * angle, (1.0 - (1.0 - 0.1 * angle) ** 2) ** 0.5
    return tuple(vector)


def chunk(
    chunk_id: str, *, document_id: str = "d", tenant: str = "t", angle: int = 0, text: str = "text"
) -> StoredChunk:
    return StoredChunk(
        chunk_id=chunk_id,
        document_id=document_id,
        title=f"title of {document_id}",
        text=text,
        domain=Domain.MARKET,
        tenant=tenant,
        position=0,
        vector=unit(angle),
    )


async def ids(store: OwnedStore, *, tenant: str = "t", limit: int = 10) -> Sequence[str]:
    return [found.chunk_id for found in await store.search(unit(0), limit=limit, tenant=tenant)]


async def test_an_empty_store_finds_nothing(store: OwnedStore) -> None:
    assert await ids(store) == []


async def test_the_nearest_chunk_comes_first_with_its_cosine(store: OwnedStore) -> None:
    await store.replace("d", [chunk("far", angle=9), chunk("near", angle=0), chunk("middle", angle=4)])

    found = await store.search(unit(0), limit=2, tenant="t")

    assert [hit.chunk_id for hit in found] == ["near", "middle"]
    assert [hit.similarity for hit in found] == pytest.approx([1.0, 0.6], abs=1e-4)


async def test_a_found_chunk_is_the_stored_one(store: OwnedStore) -> None:
    await store.replace("d", [chunk("c", text='quoted "text" with 🦊 and \\')])

    (found,) = await store.search(unit(0), limit=1, tenant="t")

    assert (found.chunk_id, found.document_id, found.title) == ("c", "d", "title of d")
    assert (found.text, found.domain) == ('quoted "text" with 🦊 and \\', Domain.MARKET)


async def test_opposite_vectors_have_a_negative_similarity(store: OwnedStore) -> None:
    await store.replace("d", [chunk("c")])

    (found,) = await store.search((-1.0, 0.0, 0.0, 0.0), limit=1, tenant="t")

    assert found.similarity == pytest.approx(-1.0, abs=1e-4)


async def test_replacing_a_document_drops_what_is_left_of_its_earlier_version(store: OwnedStore) -> None:
    await store.replace("d", [chunk("one"), chunk("two"), chunk("three")])

    await store.replace("d", [chunk("two", text="new"), chunk("four")])

    found = await store.search(unit(0), limit=10, tenant="t")
    assert {hit.chunk_id: hit.text for hit in found} == {"two": "new", "four": "text"}


async def test_replacing_one_document_leaves_others_alone(store: OwnedStore) -> None:
    await store.replace("d", [chunk("one")])
    await store.replace("other", [chunk("two", document_id="other")])

    await store.replace("d", [])

    assert await ids(store) == ["two"]


async def test_the_same_replacement_twice_changes_nothing(store: OwnedStore) -> None:
    for _ in range(2):
        await store.replace("d", [chunk("one"), chunk("two", angle=1)])

    assert await ids(store) == ["one", "two"]


async def test_a_deleted_document_is_not_found(store: OwnedStore) -> None:
    await store.replace("d", [chunk("one")])

    await store.delete("d")
    await store.delete("d")
    await store.delete("never there")

    assert await ids(store) == []


async def test_a_tenant_sees_only_its_own_chunks(store: OwnedStore) -> None:
    await store.replace("d", [chunk("mine")])
    await store.replace("e", [chunk("theirs", document_id="e", tenant="other")])

    assert await ids(store) == ["mine"]
    assert await ids(store, tenant="other") == ["theirs"]
    assert await ids(store, tenant="T") == []


async def test_no_name_breaks_out_of_its_filter(store: OwnedStore) -> None:
    """Quotes, escapes, expressions: every name finds exactly what was stored under it."""
    await store.replace("d", [chunk("bystander")])

    for number, name in enumerate(HOSTILE):
        await store.replace(name, [chunk(f"c{number}", document_id=name, tenant=name)])

    for number, name in enumerate(HOSTILE):
        assert await ids(store, tenant=name) == [f"c{number}"]
    for name in HOSTILE:
        await store.delete(name)
    assert [found for name in HOSTILE for found in await ids(store, tenant=name)] == []
    assert await ids(store) == ["bystander"]


async def test_a_limit_of_none_finds_none(store: OwnedStore) -> None:
    await store.replace("d", [chunk("one")])

    assert await ids(store, limit=0) == []


async def test_a_document_of_many_chunks_is_stored_whole(store: OwnedStore) -> None:
    await store.replace("d", [chunk(f"c{number:04}", angle=number % 10) for number in range(1100)])

    assert len(await ids(store, limit=1000)) == 1000
    await store.replace("d", [])
    assert await ids(store, limit=1000) == []


async def test_a_vector_of_another_dimension_is_refused_for_good(store: OwnedStore) -> None:
    with pytest.raises(RecordInvalid, match="4 numbers, not 2"):
        await store.search((1.0, 0.0), limit=1, tenant="t")


async def test_concurrent_writers_and_readers_do_not_disturb_each_other(store: OwnedStore) -> None:
    names = [f"doc{number}" for number in range(12)]

    await asyncio.gather(
        *(store.replace(name, [chunk(name, document_id=name)]) for name in names), *(ids(store) for _ in names)
    )

    assert sorted(await ids(store, limit=50)) == sorted(names)


async def test_a_closed_store_is_closed_twice_without_harm(store: OwnedStore) -> None:
    await store.close()
    await store.close()


async def test_milvus_lite_keeps_its_chunks_when_opened_again(tmp_path: Path) -> None:
    for attempt in range(2):
        store = store_of(StoreSettings(timeout_s=30), tmp_path, 4)
        await store.start()
        assert len(await ids(store)) == attempt
        await store.replace("d", [chunk("one")])
        await store.close()


KILLED = """
import asyncio, os, pathlib, signal, sys
from tests.contracts.test_chunk_store import StoreSettings, chunk, store_of
async def main():
    store = store_of(StoreSettings(timeout_s=30), pathlib.Path(sys.argv[1]), 4)
    await store.replace("d", [chunk("one"), chunk("two", angle=1)])
    await store.replace("d", [chunk("two", angle=1)])
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_what_milvus_lite_confirmed_outlives_a_kill(tmp_path: Path) -> None:
    """A process that is killed right after its writes leaves a file that opens and holds them."""
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path))
    assert await killed.wait() == -signal.SIGKILL

    store = store_of(StoreSettings(timeout_s=30), tmp_path, 4)
    assert await ids(store) == ["two"]
    await store.close()


async def test_a_collection_of_another_dimension_is_refused_at_start(tmp_path: Path) -> None:
    first = store_of(StoreSettings(timeout_s=30), tmp_path, 4)
    await first.start()
    await first.close()
    second = store_of(StoreSettings(timeout_s=30), tmp_path, 8)

    with pytest.raises(StartRefused, match="FORGESTREAM_STORE_COLLECTION"):
        await second.start()

    await second.close()


async def test_a_file_that_is_no_store_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "chunks.db").write_bytes(b"not a database")
    store = store_of(StoreSettings(timeout_s=30), tmp_path, 4)

    with pytest.raises(StartRefused, match="cannot open the vector store"):
        await store.start()

    await store.close()


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    store = store_of(StoreSettings(uri="http://127.0.0.1:9", timeout_s=2), tmp_path, 4)

    with pytest.raises(StoreUnavailable):
        await ids(store)

    await store.close()


async def test_a_server_that_never_answers_is_unavailable_in_time(tmp_path: Path) -> None:
    """A listening socket that says nothing: every call ends with the timeout of the settings, none after another."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = store_of(StoreSettings(uri=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.5), tmp_path, 4)

        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*(ids(store) for _ in range(50)), return_exceptions=True)
            await store.close()

    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}


async def test_a_chunk_beyond_the_limits_of_milvus_is_refused_for_good(tmp_path: Path) -> None:
    store = store_of(StoreSettings(timeout_s=30), tmp_path, 4)

    with pytest.raises(RecordInvalid, match="text of chunk c is longer"):
        await store.replace("d", [chunk("c", text="é" * 40_000)])

    await store.close()


def test_cosines_fall_with_the_angle() -> None:
    """The made-up vectors of this file mean what their name says."""
    cosines = [unit(angle)[0] for angle in range(10)]
    assert all(later < earlier for earlier, later in itertools.pairwise(cosines))
