"""The vector store: Milvus, or Milvus Lite in a file; every blocking call runs in a thread, with a timeout."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from grpc import RpcError  # type: ignore[import-untyped]
from pymilvus import DataType, MilvusClient, MilvusException

from schemas.records import Domain
from streams.clients.milvus_lite_file import is_lite, prepare, release
from streams.errors import RecordInvalid, StartRefused, StoreUnavailable
from streams.ports import FoundChunk, StoredChunk, Vector
from streams.settings import StoreSettings

T = TypeVar("T")

TEXT_BYTES = 65_535  # Milvus' longest VARCHAR
ROWS_PER_CALL = 500  # stays far below gRPC's 64 MiB with the longest texts
ROWS_PER_FLUSH = (
    256  # Milvus Lite scans rows that are not flushed in Python: 2,000 of them cost 140 ms a search, flushed 3 ms
)
SERVER_CALLS = 8  # calls under way at once; Milvus Lite takes one at a time
MODEL = "forgestream.model"
ADVICE = "make one with `forgestream reindex --into NAME`, then set FORGESTREAM_STORE_COLLECTION to that name"
SHOWN = ("chunk_id", "document_id", "title", "text", "domain")

QUIET = {
    "grpc.keepalive_time_ms": 2**31 - 1
}  # the server within refuses pymilvus' pings, and says so on standard error


class MilvusStore:
    """A `ChunkStore`.

    What filters compare are hashes (`document_key`, `tenant_key`): no text of a user is ever part of an expression.
    """

    def __init__(self, settings: StoreSettings, uri: str, dimension: int, model: str = "") -> None:
        self._model = model
        self._settings = settings
        self._uri = uri
        self._dimension = dimension
        self._lite = is_lite(uri)
        self._threads = ThreadPoolExecutor(1 if self._lite else SERVER_CALLS, thread_name_prefix="milvus")
        self._opening = asyncio.Lock()
        self._client: MilvusClient | None = None
        self._unflushed = 0

    async def start(self) -> None:
        """Open the store, create the collection if there is none, load and warm it.

        Raises:
            StartRefused: the file cannot be opened, or the collection holds vectors of another dimension.
            StoreUnavailable: no server answers; the next call tries again.
        """
        await self._opened()

    async def close(self) -> None:
        """Close the connection; Milvus Lite writes what it holds to its file."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._shut, client)
        await asyncio.to_thread(self._threads.shutdown)

    async def replace(self, document_id: str, chunks: Sequence[StoredChunk]) -> None:
        """Upsert the chunks, then delete what is left of an earlier version, so that the document is never absent.

        Raises:
            StoreUnavailable: the store did not answer in time.
            RecordInvalid: a chunk is beyond the limits of the store.
        """
        rows = {_chunk_key(document_id, chunk.chunk_id): self._row(document_id, chunk) for chunk in chunks}
        client = await self._opened()
        await self._called("replace", lambda: self._replaced(client, document_id, rows))

    async def replace_all(self, documents: Mapping[str, Sequence[StoredChunk]]) -> int:
        """Replace many documents with one flush; return how many chunks the store confirmed, which is all of them.

        Raises:
            StoreUnavailable: it did not confirm everything in time.
            RecordInvalid: a chunk is beyond the limits of the store.
        """
        rows = {
            document_id: {_chunk_key(document_id, one.chunk_id): self._row(document_id, one) for one in chunks}
            for document_id, chunks in documents.items()
        }
        client = await self._opened()
        return await self._called("replace many documents", lambda: self._replaced_all(client, rows))

    async def documents(self) -> Collection[str]:
        """Return the ids of all documents in it. Raises StoreUnavailable."""
        client = await self._opened()
        return await self._called("list its documents", lambda: self._listed(client))

    async def delete(self, document_id: str) -> None:
        """Forget the document; unknown ids are fine. Raises StoreUnavailable."""
        client = await self._opened()
        await self._called("delete", lambda: self._replaced(client, document_id, {}))

    async def search(self, vector: Vector, *, limit: int, tenant: str) -> Sequence[FoundChunk]:
        """Return the nearest chunks of the tenant, nearest first.

        Raises:
            StoreUnavailable: the store did not answer in time.
            RecordInvalid: the vector has another dimension than the collection.
        """
        if len(vector) != self._dimension:
            raise RecordInvalid(f"the store holds vectors of {self._dimension} numbers, not {len(vector)}")
        if limit < 1:
            return []
        client = await self._opened()
        found = await self._called("search", lambda: self._searched(client, vector, limit, tenant))
        return sorted((_found(hit) for hit in found), key=lambda chunk: (-chunk.similarity, chunk.chunk_id))

    async def _opened(self) -> MilvusClient:
        try:
            async with asyncio.timeout(self._settings.timeout_s), self._opening:
                if self._client is None:
                    self._client = await self._called("open", self._open)
                return self._client
        except TimeoutError as error:  # others are at it, and it does not open
            raise StoreUnavailable("the vector store did not open in time") from error

    async def _called(self, operation: str, call: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except TimeoutError as error:
            waited = f"{self._settings.timeout_s:g} s"
            raise StoreUnavailable(f"the vector store did not answer {operation} within {waited}") from error
        except (MilvusException, RpcError, OSError, ValueError) as error:
            raise StoreUnavailable(f"the vector store failed to {operation}", context={"uri": self._uri}) from error
        except RuntimeError as error:  # the executor: closed
            raise StoreUnavailable("the vector store was shut down") from error

    # What follows runs in a thread.

    def _open(self) -> MilvusClient:
        if self._lite:
            prepare(self._uri)
        try:
            client = MilvusClient(
                self._uri,
                token=self._settings.token,
                timeout=self._settings.timeout_s,
                grpc_options=QUIET if self._lite else {},
            )
        except MilvusException as error:
            if self._lite:
                advice = "another process has it open or it is not a Milvus Lite file; see FORGESTREAM_STORE_URI"
                raise StartRefused(f"cannot open the vector store {self._uri}: {advice}") from error
            raise
        name, timeout_s = self._settings.collection, self._settings.timeout_s
        if client.has_collection(name, timeout=timeout_s):
            self._check(client.describe_collection(name, timeout=timeout_s))
        else:
            self._create(client)
        client.load_collection(name, timeout=timeout_s)
        self._searched(client, (1.0, *(0.0,) * (self._dimension - 1)), 1, "")  # the first filtered search is slow
        return client

    def _shut(self, client: MilvusClient) -> None:
        client.close()
        if self._lite:
            release(self._uri)

    def _check(self, description: Mapping[str, Any]) -> None:
        dimensions = [field["params"]["dim"] for field in description["fields"] if field["name"] == "vector"]
        if dimensions != [self._dimension]:
            name = self._settings.collection
            raise StartRefused(f"collection {name} does not hold vectors of {self._dimension} numbers; {ADVICE}")
        held = description.get("properties", {}).get(MODEL) or description.get("description", "")
        if held and self._model and held != self._model:
            raise StartRefused(
                f"collection {self._settings.collection} holds vectors of {held}, not of {self._model}; {ADVICE}"
            )

    def _create(self, client: MilvusClient) -> None:
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=self._model)
        schema.add_field("chunk_key", DataType.VARCHAR, is_primary=True, max_length=64)
        for key in ("document_key", "tenant_key"):
            schema.add_field(key, DataType.VARCHAR, max_length=64)
        for text in (*SHOWN, "tenant"):
            schema.add_field(text, DataType.VARCHAR, max_length=TEXT_BYTES)
        schema.add_field("position", DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dimension)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="AUTOINDEX", metric_type="COSINE")
        client.create_collection(
            self._settings.collection,
            schema=schema,
            index_params=index,
            consistency_level="Session",  # a worker finds what it has written itself
            properties={MODEL: self._model}
            if self._lite
            else None,  # it keeps no description, and a server no such property
            timeout=self._settings.timeout_s,
        )

    def _replaced(self, client: MilvusClient, document_id: str, rows: Mapping[str, Mapping[str, object]]) -> None:
        name, timeout_s = self._settings.collection, self._settings.timeout_s
        self._upserted(client, rows.values())
        stored = client.query(
            name,
            filter=f'document_key == "{_key(document_id)}"',
            output_fields=["chunk_key"],
            timeout=timeout_s,
            consistency_level="Strong",  # the earlier version may be another worker's
        )
        leftovers = [row["chunk_key"] for row in stored if row["chunk_key"] not in rows]
        if leftovers:
            client.delete(name, ids=leftovers, timeout=timeout_s)
        self._unflushed += len(rows)
        if self._lite and self._unflushed >= ROWS_PER_FLUSH:
            client.flush(name, timeout=timeout_s)
            self._unflushed = 0

    def _upserted(self, client: MilvusClient, rows: Iterable[Mapping[str, object]]) -> int:
        """Write rows; return how many the store confirmed."""
        name, timeout_s = self._settings.collection, self._settings.timeout_s
        answers = [client.upsert(name, batch, timeout=timeout_s) for batch in _batches(list(rows))]
        return sum(int(answer["upsert_count"]) for answer in answers)

    def _replaced_all(self, client: MilvusClient, documents: Mapping[str, Mapping[str, Mapping[str, object]]]) -> int:
        name, timeout_s = self._settings.collection, self._settings.timeout_s
        rows = {key: row for document in documents.values() for key, row in document.items()}
        confirmed = self._upserted(client, rows.values())
        if confirmed != len(rows):
            raise ValueError(f"{confirmed} of {len(rows)} rows were confirmed")
        keys = ", ".join(f'"{_key(document_id)}"' for document_id in documents)
        found = client.query_iterator(
            name,
            batch_size=ROWS_PER_CALL,
            filter=f"document_key in [{keys}]",
            output_fields=["chunk_key"],
            timeout=timeout_s,
            consistency_level="Strong",
        )
        leftovers = [row["chunk_key"] for row in _every(found) if row["chunk_key"] not in rows]
        for start in range(0, len(leftovers), ROWS_PER_CALL):
            client.delete(name, ids=leftovers[start : start + ROWS_PER_CALL], timeout=timeout_s)
        client.flush(name, timeout=timeout_s)
        self._unflushed = 0
        return confirmed

    def _listed(self, client: MilvusClient) -> Collection[str]:
        found = client.query_iterator(
            self._settings.collection,
            batch_size=ROWS_PER_CALL,
            output_fields=["document_id"],
            timeout=self._settings.timeout_s,
            consistency_level="Strong",
        )
        return {row["document_id"] for row in _every(found)}

    def _searched(self, client: MilvusClient, vector: Vector, limit: int, tenant: str) -> Sequence[Mapping[str, Any]]:
        hits: Sequence[Sequence[Mapping[str, Any]]] = client.search(
            self._settings.collection,
            [list(vector)],
            filter=f'tenant_key == "{_key(tenant)}"',
            limit=limit,
            output_fields=list(SHOWN),
            timeout=self._settings.timeout_s,
        )
        return list(hits[0])

    def _row(self, document_id: str, chunk: StoredChunk) -> dict[str, object]:
        if len(chunk.vector) != self._dimension:
            raise RecordInvalid(f"the store holds vectors of {self._dimension} numbers, not {len(chunk.vector)}")
        texts = {name: str(getattr(chunk, name)) for name in (*SHOWN, "tenant")}
        for name, text in texts.items():
            if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES:
                raise RecordInvalid(f"the {name} of chunk {chunk.chunk_id[:80]} is longer than {TEXT_BYTES} bytes")
        return {
            "chunk_key": _chunk_key(document_id, chunk.chunk_id),
            "document_key": _key(document_id),
            "tenant_key": _key(chunk.tenant),
            **texts,
            "position": chunk.position,
            "vector": list(chunk.vector),
        }


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _chunk_key(document_id: str, chunk_id: str) -> str:
    return _key(f"{document_id}\0{chunk_id}")


def _batches(rows: Sequence[Mapping[str, object]]) -> Iterator[list[Mapping[str, object]]]:
    for start in range(0, len(rows), ROWS_PER_CALL):
        yield list(rows[start : start + ROWS_PER_CALL])


def _every(pages: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - an iterator of pymilvus that is none of Python's
    try:
        while page := pages.next():
            yield from page
    finally:
        pages.close()


def _found(hit: Mapping[str, Any]) -> FoundChunk:
    entity = hit["entity"]
    return FoundChunk(
        chunk_id=entity["chunk_id"],
        document_id=entity["document_id"],
        title=entity["title"],
        text=entity["text"],
        domain=Domain(entity["domain"]),
        similarity=min(1.0, max(-1.0, float(hit["distance"]))),
    )
