"""Where schema ids come from: the lock file committed beside the schemas, or a Confluent-compatible registry."""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import httpx

from schemas.avro_schema import Schema, schema_of
from schemas.codec import SchemaUnknown, Serde
from schemas.published import Published, published, versions

R = TypeVar("R")

COMPATIBILITY: Final = "BACKWARD_TRANSITIVE"
ABSENT_S: Final = 10.0
ABSENT_MOST: Final = 1000
MOST_PORT: Final = 65535
HEADERS: Final = {
    "Accept": "application/vnd.schemaregistry.v1+json, application/json",
    "Content-Type": "application/vnd.schemaregistry.v1+json",
}


class RegistryUnavailable(ConnectionError):
    """The schema registry did not answer, or not in its protocol. Trying again later may help."""


class RegistryRefused(ValueError):
    """The schema registry said no: wrong credentials, or a schema that breaks the compatibility of its subject."""


class SchemaSource(Protocol):
    """Knows which id a schema has."""

    async def start(self, subjects: Mapping[str, type]) -> None:
        """Learn the ids of the subjects (`<topic>-value` -> record class) before the first record is written."""

    def id_for(self, subject: str) -> int:
        """Return the id under which records of the subject are written. Raises LookupError before `start` named it."""

    def writer(self, schema_id: int) -> Schema:
        """Return the schema with the id. Raises SchemaUnknown when it is not in memory."""

    async def fetch(self, schema_id: int) -> None:
        """Load a schema that is not in memory.

        Raises:
            SchemaUnknown: there is none.
            RegistryUnavailable: nobody could be asked; the record must wait.
        """


class LockedIds:
    """Ids from `schemas/avsc/ids.lock.json`: no server needed, the same in every process."""

    def __init__(self, known: Mapping[int, Published] | None = None) -> None:
        self._known = published() if known is None else known
        self._subjects: dict[str, int] = {}

    async def start(self, subjects: Mapping[str, type]) -> None:
        """Look up the newest version of each record. Raises LookupError for a record that was never published."""
        for subject, record in subjects.items():
            if record is bytes:
                continue
            found = versions(self._known, record.__name__)
            if not found:
                raise LookupError(f"{record.__name__} has no schema in schemas/avsc: run `python -m schemas.generate`")
            self._subjects[subject] = found[-1].schema_id

    def id_for(self, subject: str) -> int:
        """Return the id of the subject's newest version."""
        try:
            return self._subjects[subject]
        except KeyError:
            raise LookupError(f"{subject} was not among the subjects at start") from None

    def writer(self, schema_id: int) -> Schema:
        """Return a published schema."""
        try:
            return self._known[schema_id].schema
        except KeyError:
            raise SchemaUnknown(schema_id) from None

    async def fetch(self, schema_id: int) -> None:
        """Raise SchemaUnknown unless the id is in the lock file: there is nobody else to ask."""
        self.writer(schema_id)


class RegistryClient:
    """Ids of a registry that speaks Confluent's REST API: Confluent, Apicurio (`/apis/ccompat/v7`), Karapace.

    Raises:
        RegistryRefused: the URL is no http or https address.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str = "",
        password: str = "",
        timeout_s: float = 5.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = _address(url)
        self._url = str(self._base.copy_with(userinfo=b""))  # as messages show it
        self._auth = httpx.BasicAuth(username, password) if username else None
        self._timeout_s = timeout_s
        self._now = now
        self._subjects: dict[str, int] = {}
        self._known: dict[int, Schema] = {}
        self._absent: dict[int, float] = {}
        self._asking: dict[int, asyncio.Lock] = {}

    async def start(self, subjects: Mapping[str, type]) -> None:
        """Register the schema of every subject; a schema that is there already keeps its id.

        Raises:
            RegistryUnavailable: no answer.
            RegistryRefused: wrong credentials, or a schema the registry finds incompatible with an earlier one.
        """
        async with self._client() as client:
            for subject, record in subjects.items():
                if record is not bytes:
                    await self._register(client, subject, schema_of(record))

    def id_for(self, subject: str) -> int:
        """Return the id the registry gave the subject's schema."""
        try:
            return self._subjects[subject]
        except KeyError:
            raise LookupError(f"{subject} was not among the subjects at start") from None

    def writer(self, schema_id: int) -> Schema:
        """Return a schema that was registered or fetched."""
        try:
            return self._known[schema_id]
        except KeyError:
            raise SchemaUnknown(schema_id) from None

    async def fetch(self, schema_id: int) -> None:
        """Load a schema by its id. Callers that want the same one share a call; an absent one is not asked for at once.

        Raises:
            SchemaUnknown: the registry has none with the id.
            RegistryUnavailable: no answer.
            RegistryRefused: wrong credentials.
        """
        lock = self._asking.setdefault(schema_id, asyncio.Lock())
        try:
            async with lock:
                if schema_id not in self._known:
                    await self._ask(schema_id)
        finally:
            self._asking.pop(schema_id, None)

    async def _ask(self, schema_id: int) -> None:
        if self._now() < self._absent.get(schema_id, 0.0):
            raise SchemaUnknown(schema_id)
        async with self._client() as client:
            answer = await self._call(client, "GET", f"schemas/ids/{schema_id}", absent={404})
        if answer is None:
            if len(self._absent) >= ABSENT_MOST:
                self._absent.clear()
            self._absent[schema_id] = self._now() + ABSENT_S
            raise SchemaUnknown(schema_id)
        if answer.get("schemaType", "AVRO") != "AVRO":
            raise SchemaUnknown(schema_id)
        self._known[schema_id] = self._parsed(answer.get("schema"))

    async def _register(self, client: httpx.AsyncClient, subject: str, schema: Schema) -> None:
        place = quote(subject, safe="")
        # A registry that lets nobody change its rules may have no such page: then its own rules hold.
        await self._call(client, "PUT", f"config/{place}", {"compatibility": COMPATIBILITY}, absent={403, 404, 405})
        answer = await self._call(client, "POST", f"subjects/{place}/versions", {"schema": json.dumps(schema)})
        schema_id = (answer or {}).get("id")
        if not isinstance(schema_id, int) or not 0 < schema_id < 1 << 32:
            raise RegistryUnavailable(f"the schema registry {self._url} gave {subject} no id but {schema_id!r}")
        self._subjects[subject] = schema_id
        self._known[schema_id] = schema

    async def _call(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        body: Mapping[str, str] | None = None,
        *,
        absent: Collection[int] = (),
    ) -> dict[str, Any] | None:
        try:
            response = await client.request(method, path, json=body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise RegistryUnavailable(f"the schema registry {self._url} does not answer: {reason}") from error
        if response.status_code in absent:
            return None
        said = f"the schema registry {self._url} answered {method} {path} with {response.status_code}"
        if response.status_code in {408, 429} or response.status_code >= 500:  # noqa: PLR2004 - HTTP
            raise RegistryUnavailable(said)
        if not response.is_success:
            raise RegistryRefused(f"{said}: {response.text[:500]}")
        try:
            answer = response.json()
        except ValueError as error:
            raise RegistryUnavailable(f"{said} and no JSON") from error
        if not isinstance(answer, dict):
            raise RegistryUnavailable(f"{said} and no JSON object")
        return answer

    def _parsed(self, text: object) -> Schema:
        try:
            schema = json.loads(str(text))
        except ValueError as error:
            raise RegistryUnavailable(f"the schema registry {self._url} sent a schema that is no JSON") from error
        if not isinstance(schema, dict):
            schema = {"type": schema}
        return schema

    def _client(self) -> httpx.AsyncClient:
        # One per call: calls are few, and a client kept would belong to one event loop.
        return httpx.AsyncClient(base_url=self._base, auth=self._auth, timeout=self._timeout_s, headers=HEADERS)


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host or (address.port or 0) > MOST_PORT:
        raise RegistryRefused("the URL of the schema registry is no http or https address")  # nor shown: a password
    return address


def serde(source: SchemaSource, topic_name: str, record_type: type[R]) -> Serde[R]:
    """Return the codec of a topic's values."""
    return Serde(source, f"{topic_name}-value", record_type)
