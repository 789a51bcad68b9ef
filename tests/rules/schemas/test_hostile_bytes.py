"""Whatever bytes come: a record, RecordUndecodable or SchemaUnknown; soon, and nothing is allocated for a lie."""

import math
import time
import tracemalloc
from struct import pack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.avro_schema import PUBLISHED, Schema, schema_of
from schemas.codec import MAX_BYTES, RecordUndecodable, SchemaUnknown, Serde
from schemas.encoder import encoder
from schemas.records import Analysis, Embedding, Origin, Ranking, Request, TextQuery, Verdict
from schemas.varint import zigzag
from tests.any_record import any_record
from tests.fakes.schemas import FixedIds, a_serde
from tests.given import a_request, a_text_query, a_verdict, an_embedding, an_origin

PREFIX = b"\0\0\0\0\1"
THOROUGH = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LENGTHS = [
    zigzag(1 << 60),
    zigzag((1 << 63) - 1),
    zigzag(-(1 << 63)),
    zigzag(-1),
    zigzag(1 << 31),
    b"\xff" * 9 + b"\x7f",
]
FOREVER = b"\xff" * 1000


def decoded(serde: Serde[Any], data: bytes) -> object:
    try:
        return serde.decode(data)
    except (RecordUndecodable, SchemaUnknown):
        return None


def origin_bytes() -> bytes:
    pieces: list[bytes] = []
    encoder(Origin)(an_origin(), pieces.append)
    return b"".join(pieces)


@pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: record.__name__)
@THOROUGH
@given(data=st.binary(max_size=300))
def test_random_bytes(record: type[Any], data: bytes) -> None:
    serde = a_serde(record)

    for hostile in (data, PREFIX + data, PREFIX + origin_bytes() + data):
        assert isinstance(decoded(serde, hostile), record | None)


@pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: record.__name__)
@THOROUGH
@given(data=st.data())
def test_damaged_records(record: type[Any], data: st.DataObject) -> None:
    """Cut off, with a byte changed, with a lie about a length put in."""
    serde = a_serde(record)
    good = serde.encode(data.draw(any_record(record)))
    at = data.draw(st.integers(0, len(good) - 1))
    byte, lie = data.draw(st.integers(0, 255)), data.draw(st.sampled_from([*LENGTHS, FOREVER]))

    assert decoded(serde, good[:at]) is None
    for hostile in (good[:at] + bytes([byte]) + good[at + 1 :], good[:at] + lie + good[at:], good[:at] + lie):
        assert isinstance(decoded(serde, hostile), record | None)


@pytest.mark.parametrize("lie", [*LENGTHS, FOREVER], ids=lambda lie: lie[:12].hex())
@pytest.mark.parametrize(
    ("record", "before"),
    [
        (TextQuery, b""),  # the length of a string
        (Embedding, origin_bytes() + origin_bytes() + b"\2q\0\0\0\0\0" + bytes(8) + b"\0" * 12),
        (Ranking, b"\2c\0"),  # the count of an array of records
        (Ranking, b"\2c\0\0\0\2r\0"),  # the count of a map
    ],
    ids=["string", "vector", "records", "map"],
)
def test_a_lie_about_a_length_allocates_nothing(record: type[Any], before: bytes, lie: bytes) -> None:
    serde = a_serde(record)
    decoded(serde, PREFIX)  # makes the decoder, whose code takes memory of its own
    hostile = PREFIX + before + lie + b"\2" * 50
    tracemalloc.start()
    try:
        assert decoded(serde, hostile) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 100_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\2" * (MAX_BYTES - 200), id="one item a block"),
        pytest.param(zigzag(MAX_BYTES - 300) + b"\0" * (MAX_BYTES - 250), id="one block of the smallest items"),
    ],
)
def test_sixteen_mebibytes_of_the_worst_take_seconds_not_hours(body: bytes) -> None:
    """Time grows with the bytes, not with their square."""
    began = time.process_time()

    assert decoded(a_serde(Analysis), PREFIX + origin_bytes() + b"\4en" + body) is None

    assert time.process_time() - began < 30


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused(number: float) -> None:
    """Another writer may have let it pass: as a field and in a vector."""
    verdicts, embeddings = a_serde(Verdict), a_serde(Embedding)
    verdict = verdicts.encode(a_verdict(score=0.8125)).replace(pack("<d", 0.8125), pack("<d", number))
    embedding = embeddings.encode(an_embedding()).replace(pack("<2d", 1.0, 0.0), pack("<2d", 1.0, number))

    with pytest.raises(RecordUndecodable, match="not a finite number"):
        verdicts.decode(verdict)
    with pytest.raises(RecordUndecodable, match="not a finite number"):
        embeddings.decode(embedding)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "does not start with a zero byte"),
        (b"\0\0\0\1", "does not start with a zero byte"),
        (b'{"query": "JSON"}', "does not start with a zero byte"),
        (PREFIX, "ends too early"),
        (PREFIX + b"\4\xff\xfe", "can't decode byte"),
        (PREFIX + b"\4\xed\xa0\x80", "can't decode byte"),
        (PREFIX + b"\1", "a length is negative"),
        (PREFIX + FOREVER, "more than 64 bits"),
        (PREFIX + b"\2a\2a\4", "a union has no branch 2"),
        (PREFIX + b"\2a\2a\0\2a\2a" + zigzag(1 << 62), "out of range|too large"),
        (a_serde(TextQuery).encode(a_text_query()) + b"\0", r"it has \d+ bytes, not \d+"),
        (a_serde(TextQuery).encode(a_text_query())[:-1], "ends too early"),
    ],
    ids=ascii,
)
def test_the_reason_is_told(data: bytes, why: str) -> None:
    with pytest.raises(RecordUndecodable, match=why):
        a_serde(TextQuery).decode(data)


def test_a_symbol_beyond_the_enumeration_is_told() -> None:
    serde = a_serde(Request)
    data = serde.encode(a_request("QUERY")).replace(b"\x0aQUERY\0", b"\x0aQUERY\x0e")

    with pytest.raises(RecordUndecodable, match="no symbol of its enumeration"):
        serde.decode(data)


RECURSIVE: Schema = {
    "type": "record",
    "name": "TextQuery",
    "fields": [{"name": "more", "type": ["null", "TextQuery"]}],
}
NOTHINGS: Schema = {
    "type": "record",
    "name": "TextQuery",
    "fields": [{"name": "nothings", "type": {"type": "array", "items": "null"}}],
}


@pytest.mark.parametrize(
    "schema",
    [
        RECURSIVE,
        NOTHINGS,
        {"type": "string"},
        {"type": "record"},
        {},
        {"type": "record", "name": 5, "fields": 5},
        {"type": "record", "name": "TextQuery", "fields": [{"name": "x", "type": "no_such_type"}]},
        {"type": ["null", "string"]},
        {"type": {"type": {"type": "map"}}},
    ],
    ids=str,
)
def test_a_harmful_or_broken_schema_of_a_writer_is_refused(schema: Schema) -> None:
    """Even if the registry has it: no endless depth, no endless arrays, no schema that is none."""
    serde = Serde(FixedIds({1: schema}), "texts-value", TextQuery)

    with pytest.raises(RecordUndecodable, match="schema 1 cannot be read as TextQuery"):
        serde.decode(PREFIX + b"\2" * 100)


def test_no_text_of_a_schema_becomes_code() -> None:
    """Names and sizes of a writer's schema never reach the generated source."""
    evil = "0\n    raise SystemExit"
    schema: Schema = schema_with({"name": evil, "type": {"type": "enum", "name": "E", "symbols": [evil]}})
    sized: Schema = schema_with({"name": "f", "type": {"type": "fixed", "name": "F", "size": evil}})

    for one in (schema, sized):
        assert decoded(Serde(FixedIds({1: one}), "verdicts-value", Verdict), PREFIX + b"\0" * 100) is None


def schema_with(field: Schema) -> Schema:
    schema = schema_of(Verdict)
    return {**schema, "fields": [field, *schema["fields"]]}
