"""Records to bytes and back: Avro in the Confluent wire format.

A zero byte, the id of the writer's schema in four bytes, the Avro body.
"""

from struct import Struct
from struct import error as StructError  # noqa: N812 - in lower case its name would say nothing
from typing import Final, Generic, Protocol, TypeVar, cast

from schemas.avro_schema import Schema, schema_of
from schemas.compatibility import expanded, unreadable
from schemas.decoder import Decoder, decoder
from schemas.encoder import encoder
from schemas.records import Origin

R = TypeVar("R")

MAX_BYTES: Final = 16 * 1024 * 1024
PREFIX: Final = Struct(">bI")


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
        self._raw = record is bytes
        self._prefix = b""
        self._encode = None if self._raw else encoder(cast("type", record))
        self._decoders: dict[bytes, Decoder] = {}

    def encode(self, record: R) -> bytes:
        """Return the bytes of a record.

        Raises:
            RecordUnencodable: NaN, infinity, half a surrogate pair, a wrong type, more than `MAX_BYTES`.
        """
        if type(record) is not self._record:
            raise RecordUnencodable(f"{self._subject} takes {self._record.__name__}, not {type(record).__name__}")
        if self._encode is None:
            return record  # type: ignore[return-value]  # R is bytes
        pieces = [self._prefix or self._learn_prefix()]
        try:
            self._encode(record, pieces.append)
            data = b"".join(pieces)
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
            raise RecordUnencodable(f"{self._record.__name__} cannot be encoded: {_why(error)}") from error
        if len(data) > MAX_BYTES:
            raise RecordUnencodable(f"{self._record.__name__} has {len(data)} bytes, more than {MAX_BYTES}")
        return data

    def decode(self, data: bytes) -> R:
        """Return the record of some bytes.

        Raises:
            RecordUndecodable: the bytes are no record of this topic.
            SchemaUnknown: the writer's schema is not in memory; the source may be able to fetch it.
        """
        if self._raw:
            return data  # type: ignore[return-value]  # R is bytes
        if len(data) > MAX_BYTES:
            raise RecordUndecodable(f"the value has {len(data)} bytes, more than {MAX_BYTES}")
        decode = self._decoders.get(data[:5]) or self._learn(data)
        try:
            record: R
            record, end = decode(data, 5)
        except (ValueError, LookupError, OverflowError, StructError) as error:
            raise RecordUndecodable(f"the value is no {self._record.__name__}: {_why(error)}") from error
        if end != len(data):
            raise RecordUndecodable(f"the value is no {self._record.__name__}: it has {len(data)} bytes, not {end}")
        return record

    def _learn_prefix(self) -> bytes:
        self._prefix = PREFIX.pack(0, self._ids.id_for(self._subject))
        return self._prefix

    def _learn(self, data: bytes) -> Decoder:
        """Make the decoder for the writer's schema; called once per id."""
        if len(data) < PREFIX.size or data[0]:
            raise RecordUndecodable("the value does not start with a zero byte and the id of a schema")
        _, schema_id = PREFIX.unpack_from(data)
        written = self._ids.writer(schema_id)
        problems = unreadable(written, schema_of(self._record))
        if problems:
            reasons = "; ".join(problems)
            raise RecordUndecodable(f"schema {schema_id} cannot be read as {self._record.__name__}: {reasons}")
        found = self._decoders[data[:5]] = decoder(expanded(written), self._record)
        return found


def origin_of(data: bytes) -> Origin | None:
    """Return who asked, None when it cannot be read. Never raises.

    `origin` is the first field of every record of a request, so it is read even if the rest is damaged.
    """
    try:
        origin: Origin
        origin, end = _ORIGIN(data, PREFIX.size)
    except (ValueError, LookupError, OverflowError, StructError):
        return None
    return origin if origin.request_id and end <= len(data) and data[0] == 0 else None


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is no symbol of its enumeration"
    return "it ends too early" if isinstance(error, IndexError | StructError) else str(error)


_ORIGIN = decoder(expanded(schema_of(Origin)), Origin)
