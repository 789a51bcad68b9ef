"""Records of older and foreign writers are read: what they lack gets its default, what we lack is skipped."""

import io
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from schemas.avro_schema import Schema, schema_of
from schemas.codec import RecordUndecodable
from schemas.compatibility import unreadable
from schemas.records import Prompt, Request, Result, TextQuery
from tests.any_record import any_record
from tests.fakes.schemas import a_serde
from tests.given import a_request, a_text_query, an_origin

OLD = b"\0\0\0\0\7"
TIMES = {"event_time": an_origin().event_time, "deadline": an_origin().deadline}
ORIGIN = {
    "request_id": "request-1",
    "correlation_id": "request-1",
    "source_service": "tests",
    "tenant": "default",
    **TIMES,
}
ODD_FIELDS: list[tuple[Any, Any]] = [
    ("string", "skipped"),
    ("bytes", b"skipped"),
    ("null", None),
    ("int", -7),
    ("long", 1 << 40),
    ("float", 0.5),
    ("double", 0.25),
    ("boolean", True),
    (["null", "string", "long"], 5),
    ({"type": "array", "items": "string"}, ["a", "b"]),
    ({"type": "array", "items": "double"}, [0.5, 1.5]),
    ({"type": "map", "values": {"type": "array", "items": "int"}}, {"a": [1, 2]}),
    ({"type": "enum", "name": "Colour", "symbols": ["red", "green"]}, "green"),
    ({"type": "fixed", "name": "Digest", "size": 4}, b"abcd"),
    ({"type": "long", "logicalType": "timestamp-micros"}, an_origin().event_time),
    (
        {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "long"}, {"name": "o", "type": "string"}]},
        {"x": 300, "o": "deep"},
    ),
]


def written(schema: Schema, values: Any) -> bytes:  # noqa: ANN401 - what fastavro takes
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), values)
    return OLD + body.getvalue()


def without(schema: Schema, *names: str) -> Schema:
    """Return the schema as it was before the fields came."""
    return {**schema, "fields": [field for field in schema["fields"] if field["name"] not in names]}


def test_fields_an_older_version_lacks_get_their_default() -> None:
    """Version 1 knew neither speech nor confidence, and its origin no replays."""
    old = without(schema_of(TextQuery), "speak", "language", "confidence", "max_tokens")
    old["fields"][0]["type"] = without(old["fields"][0]["type"], "replay_id", "tenant", "session_id")
    old["fields"][0]["type"]["namespace"] = "forgestream"

    data = written(old, {"origin": ORIGIN, "query": "q", "temperature": 0.5, "strict": True})
    read = a_serde(TextQuery, {7: old}).decode(data)

    assert (read.query, read.temperature, read.strict) == ("q", 0.5, True)
    assert (read.speak, read.language, read.confidence, read.max_tokens) == (False, None, None, 256)
    assert read.origin == an_origin()


def test_defaults_of_every_kind_are_real_values() -> None:
    """Members of enumerations and tuples, not strings and lists."""
    new = schema_of(Result)
    old = without(new, *(field["name"] for field in new["fields"] if "default" in field))

    read = a_serde(Result, {7: old}).decode(written(old, {"origin": ORIGIN, "result_id": "r", "status": "ok"}))

    assert repr(read) == repr(Result(origin=an_origin(), result_id="r", status=read.status))


@pytest.mark.parametrize(("kind", "value"), ODD_FIELDS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("place", ["first", "last"])
def test_fields_we_do_not_know_are_skipped(kind: object, value: object, place: str) -> None:
    schema = schema_of(TextQuery)
    foreign = {"name": "foreign", "type": kind}
    fields = [foreign, *schema["fields"]] if place == "first" else [*schema["fields"], foreign]
    theirs = {**schema, "fields": fields}

    data = written(theirs, {"origin": ORIGIN, "query": a_text_query().query, "foreign": value})

    assert a_serde(TextQuery, {7: theirs}).decode(data) == a_text_query()


def test_numbers_and_text_are_widened_and_fields_may_stand_in_any_order() -> None:
    """A hand-written schema: int for long, float and int for double, bytes for string, no unions where we have them."""
    theirs: Schema = {
        "type": "record",
        "name": "com.example.TextQuery",
        "fields": [
            {"name": "temperature", "type": "float"},
            {"name": "confidence", "type": "int"},
            {"name": "max_tokens", "type": {"type": "int"}},
            {"name": "query", "type": "bytes"},
            {"name": "domain", "type": {"type": "string", "avro.java.string": "String"}},
            {"name": "model", "type": ["string", "null"]},
            {"name": "origin", "type": {**schema_of(TextQuery)["fields"][0]["type"], "namespace": "com.example"}},
        ],
    }
    values = {
        "temperature": 0.5,
        "confidence": 1,
        "max_tokens": 5,
        "query": "é".encode(),
        "domain": "market",
        "model": "m",
        "origin": ORIGIN,
    }

    read = a_serde(TextQuery, {7: theirs}).decode(written(theirs, values))

    assert repr((read.temperature, read.confidence, read.max_tokens)) == "(0.5, 1.0, 5)"
    assert (read.query, read.domain, read.model) == ("é", "market", "m")


def test_symbols_may_stand_in_any_order() -> None:
    """By name, as Avro says, not by number."""
    theirs = schema_of(Request)
    domain = next(field["type"] for field in theirs["fields"] if field["name"] == "domain")
    domain["symbols"].reverse()
    values = {
        "origin": ORIGIN,
        "query": "q",
        "domain": "literary",
        "task": "analysis",
        "temperature": 0,
        "max_tokens": 100,
    }

    assert a_serde(Request, {7: theirs}).decode(written(theirs, values)) == a_request("q")


def test_what_cannot_be_read_is_refused_with_every_reason() -> None:
    theirs = without(schema_of(TextQuery), "query")
    theirs["fields"].append({"name": "speak", "type": "string"})
    theirs["fields"] = [field for field in theirs["fields"] if field["name"] != "speak" or field["type"] == "string"]

    with pytest.raises(
        RecordUndecodable, match=r"TextQuery\.query is new and has no default; TextQuery\.speak was string"
    ):
        a_serde(TextQuery, {7: theirs}).decode(OLD + bytes(50))


@pytest.mark.parametrize("record", [TextQuery, Prompt, Result], ids=lambda record: record.__name__)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_older_or_foreign_version_is_read_as_fastavro_reads_it(record: type[Any], data: st.DataObject) -> None:
    """Fields dropped, added and moved about at random; two implementations of schema resolution agree."""
    schema = schema_of(record)
    optional = [field["name"] for field in schema["fields"] if "default" in field]
    dropped = data.draw(st.sets(st.sampled_from(optional)))
    added = data.draw(st.lists(st.sampled_from(ODD_FIELDS), max_size=3, unique_by=lambda one: str(one[0])))
    extra = [{"name": f"extra_{number}", "type": kind} for number, (kind, _) in enumerate(added)]
    first, *rest = without(schema, *dropped)["fields"]
    theirs = {**schema, "fields": [first, *data.draw(st.permutations([*rest, *extra]))]}
    assume(not unreadable(theirs, schema))  # a name may now be used before the place where it is defined
    ours = a_serde(record)
    body = io.BytesIO(ours.encode(data.draw(any_record(record)))[5:])
    values: Any = fastavro.schemaless_reader(body, fastavro.parse_schema(schema), None)
    values |= {f"extra_{number}": value for number, (_, value) in enumerate(added)}

    old = written(theirs, values)

    reader = a_serde(record, {7: theirs})
    read = reader.decode(old)
    resolved: Any = fastavro.schemaless_reader(io.BytesIO(old[5:]), fastavro.parse_schema(theirs), schema)
    again = io.BytesIO()
    fastavro.schemaless_writer(again, fastavro.parse_schema(schema), resolved)
    assert ours.encode(read)[5:] == again.getvalue()
