"""What a new version of a record may change."""

from typing import Any

import pytest

from schemas.avro_schema import PUBLISHED, Schema, schema_of
from schemas.compatibility import unreadable

PHASE: Schema = {"type": "enum", "name": "Phase", "symbols": ["open", "closed"]}
POINT: Schema = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "double"}]}
MILLIS: Schema = {"type": "long", "logicalType": "timestamp-millis"}


def a_schema(*fields: Any, name: str = "Thing") -> Schema:  # noqa: ANN401 - types as JSON
    """Return a record whose fields are given as types, called a, b, c, ...; or as whole fields."""
    named = zip("abcdef", fields, strict=False)
    whole = [
        field if isinstance(field, dict) and "default" in field else {"name": n, "type": field} for n, field in named
    ]
    return {"type": "record", "name": name, "namespace": "forgestream", "fields": whole}


@pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: record.__name__)
def test_every_record_reads_itself(record: type) -> None:
    assert unreadable(schema_of(record), schema_of(record)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (a_schema("string"), a_schema("string", {"name": "b", "type": "long", "default": 0})),
        (a_schema("string", "long"), a_schema("string")),
        (a_schema("int"), a_schema("long")),
        (a_schema("int"), a_schema("double")),
        (a_schema("long"), a_schema("double")),
        (a_schema("float"), a_schema("double")),
        (a_schema("bytes"), a_schema("string")),
        (a_schema({"type": "string", "avro.java.string": "String"}), a_schema("string")),
        (a_schema("string"), a_schema(["null", "string"])),
        (a_schema(["string", "null"]), a_schema(["null", "string"])),
        (a_schema(["string"]), a_schema("string")),
        (a_schema({**PHASE, "symbols": ["open"]}), a_schema(PHASE)),
        (a_schema(POINT, "Point"), a_schema(POINT, "forgestream.Point")),
        (a_schema({"type": "array", "items": "int"}), a_schema({"type": "array", "items": "long"})),
        (a_schema({"type": "map", "values": "int"}), a_schema({"type": "map", "values": "long"})),
        (a_schema("string", name="elsewhere.Thing"), a_schema("string")),
        (a_schema({"type": "fixed", "name": "F", "size": 3}), a_schema({"type": "fixed", "name": "F", "size": 3})),
    ],
    ids=str,
)
def test_what_may_change(old: Schema, new: Schema) -> None:
    assert unreadable(old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (a_schema("string"), a_schema("string", "long"), "Thing.b is new and has no default"),
        (a_schema("string"), a_schema("long"), "Thing.a was string and must be long"),
        (a_schema("long"), a_schema("int"), "Thing.a was long and must be int"),
        (a_schema("double"), a_schema("float"), "Thing.a was double and must be float"),
        (a_schema(["null", "string"]), a_schema("string"), "Thing.a was null and must be string"),
        (a_schema("long"), a_schema(["null", "string"]), "Thing.a was long and must be null or string"),
        (a_schema("long"), a_schema(MILLIS), "Thing.a was long and must be timestamp-millis"),
        (
            a_schema({"type": "long", "logicalType": "timestamp-micros"}),
            a_schema(MILLIS),
            "Thing.a was timestamp-micros and must be timestamp-millis",
        ),
        (
            a_schema(PHASE),
            a_schema({**PHASE, "symbols": ["open"]}),
            "Thing.a may be closed, which forgestream.Phase no longer has",
        ),
        (
            a_schema({"type": "array", "items": "string"}),
            a_schema({"type": "array", "items": "long"}),
            "an item of Thing.a was string and must be long",
        ),
        (a_schema(POINT), a_schema({**POINT, "name": "Place"}), "was forgestream.Point and must be forgestream.Place"),
        (
            a_schema(POINT),
            a_schema({**POINT, "fields": [{"name": "y", "type": "double"}]}),
            "Point.y is new and has no default",
        ),
        (
            a_schema({"type": "fixed", "name": "F", "size": 3}),
            a_schema({"type": "fixed", "name": "F", "size": 4}),
            "Thing.a had 3 bytes and must have 4",
        ),
        (a_schema("string"), a_schema("string", name="Other"), "was forgestream.Thing and must be forgestream.Other"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_may_not_change(old: Schema, new: Schema, why: str) -> None:
    [problem] = unreadable(old, new)

    assert why in problem


def test_every_problem_is_told() -> None:
    assert len(unreadable(a_schema("string", "string"), a_schema("long", "long", "long"))) == 3


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (a_schema({**POINT, "fields": [{"name": "next", "type": ["null", "Point"]}]}), "contains itself"),
        (a_schema("NoSuchType"), "is not defined"),
        (a_schema({"type": "array", "items": "null"}), "take no bytes"),
        (a_schema({"type": "array", "items": {**POINT, "fields": []}}), "take no bytes"),
        (a_schema({"type": "fixed", "name": "F", "size": -1}), "has no size but -1"),
        (a_schema({"type": "enum", "name": "E", "symbols": [1]}), "no string"),
        (a_schema(None), "is not a type"),
        (a_schema(5), "is not a type"),
        ({"type": "record", "name": "Thing"}, "fields"),
    ],
    ids=str,
)
def test_a_schema_that_could_do_harm_is_refused(schema: Schema, why: str) -> None:
    [problem] = unreadable(schema, a_schema())

    assert problem.startswith("the schema is refused: ")
    assert why in problem


def test_a_schema_too_deep_to_follow_is_refused() -> None:
    deep: Any = "string"
    for _ in range(5000):
        deep = {"type": "array", "items": deep}

    [problem] = unreadable(a_schema(deep), a_schema())

    assert problem.startswith("the schema is refused: ")
