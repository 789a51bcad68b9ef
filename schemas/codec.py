"""Records to bytes and back: Avro in the Confluent wire format (a zero byte, the schema id in four bytes, the Avro body)."""

from collections.abc import Callable
from io import BytesIO
from struct import Struct
from struct import error as StructError  # noqa: N812 - the exception's own name says nothing
from typing import Any, Final, Generic, Protocol, TypeVar

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError

from schemas.avro_schema import Schema, bare, canonical, schema_of
from schemas.compatibility import unreadable
from schemas.converters import plain_of, record_of
from schemas.records import Origin

R = TypeVar("R")

MAX_BYTES: Final = 16 * 1024 * 1024
PREFIX: Final = Struct(">bi")

_UNENCODABLE = (TypeError, ValueError, AttributeError, OverflowError, LookupError)
_UNDECODABLE = (*_UNENCODABLE, EOFError, StructError, SchemaResolutionError)


class RecordUndecodable(ValueError):
    """The bytes are no record of the topic."""


class RecordUnencodable(ValueError):
    """The record breaks its schema: NaN or infinity, half a surrogate pair, a wrong type, too big."""


class SchemaUnknown(LookupError):
    """The writer's schema is not in memory."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema {schema_id} is not known")
        self.schema_id = schema_id


class Ids(Protocol):
    """What a codec needs of a schema source."""

    def id_for(self, subject: str) -> int:
        """Return the id under which records of the subject are written."""

    def writer(self, schema_id: int) -> Schema:
        """Return the schema with the id. Raises SchemaUnknown."""


class Serde(Generic[R]):
    """Codec of one topic. `bytes` pass through untouched."""

    def __init__(self, ids: Ids, subject: str, record: type[R]) -> None:
        self._ids = ids
        self._subject = subject
        self._record = record
        self._prefix = b""
        self._passes = record is bytes
        self._readers: dict[int, Callable[[BytesIO], Any]] = {}
        if not self._passes:
            self._schema = parse_schema(bare(schema_of(record)))
            self._to_plain = plain_of(record)
            self._to_record = record_of(record)

    def encode(self, record: R) -> bytes:
        """Return the bytes of a record.

        Raises:
            RecordUnencodable: NaN, infinity, half a surrogate pair, a wrong type, more than `MAX_BYTES`.
        """
        if self._passes and isinstance(record, bytes):
            return record
        if type(record) is not self._record:
            raise RecordUnencodable(f"{self._subject} takes {self._record.__name__}, not {type(record).__name__}")
        prefix = self._prefix
        if not prefix:
            prefix = self._prefix = PREFIX.pack(0, self._ids.id_for(self._subject))
        body = BytesIO()
        body.write(prefix)
        try:
            schemaless_writer(body, self._schema, self._to_plain(record))
        except _UNENCODABLE as error:
            raise RecordUnencodable(f"{self._record.__name__} cannot be encoded: {error}") from error
        data = body.getvalue()
        if len(data) > MAX_BYTES:
            raise RecordUnencodable(f"{self._record.__name__} has {len(data)} bytes, more than {MAX_BYTES}")
        return data

    def decode(self, data: bytes) -> R:
        """Return the record of some bytes.

        Raises:
            RecordUndecodable: the bytes are no record of this topic.
            SchemaUnknown: the writer's schema is not in memory; the source may be able to fetch it.
        """
        if self._passes:
            return data  # type: ignore[return-value]  # R is bytes
        if not PREFIX.size <= len(data) <= MAX_BYTES or data[0] != 0:
            raise RecordUndecodable(_misframed(data))
        schema_id = int.from_bytes(data[1:5], "big")
        read = self._readers.get(schema_id) or self._reader(schema_id)
        body = BytesIO(data)
        body.seek(PREFIX.size)
        try:
            record: R = self._to_record(read(body))
        except _UNDECODABLE as error:
            raise RecordUndecodable(
                f"the value is no {self._record.__name__}: {type(error).__name__} {error}"
            ) from error
        if body.tell() != len(data):
            raise RecordUndecodable(f"{len(data) - body.tell()} bytes follow the {self._record.__name__}")
        return record

    def _reader(self, schema_id: int) -> Callable[[BytesIO], Any]:
        written = self._ids.writer(schema_id)
        problems = unreadable(written, schema_of(self._record))
        if problems:
            raise RecordUndecodable(
                f"schema {schema_id} cannot be read as {self._record.__name__}: {'; '.join(problems)}"
            )
        writer = parse_schema(bare(written))
        reader = None if canonical(writer) == canonical(self._schema) else self._schema
        read = self._readers[schema_id] = lambda body: schemaless_reader(body, writer, reader)
        return read


def origin_of(data: bytes) -> Origin | None:
    """Return who asked. Best effort: `origin` is the first field, so it is read even if the rest is damaged. Never raises."""
    body = BytesIO(data[: PREFIX.size + 65536])
    body.seek(PREFIX.size)
    try:
        origin: Origin = record_of(Origin)(schemaless_reader(body, _ORIGIN, None))  # type: ignore[arg-type]
    except _UNDECODABLE:
        return None
    return origin if origin.request_id and data[0] == 0 else None


def _misframed(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        return f"the value has {len(data)} bytes, more than {MAX_BYTES}"
    return "the value does not start with a zero byte and a schema id"


_ORIGIN = parse_schema(bare(schema_of(Origin)))
