"""Hypothesis strategies for every record: all its types allow, the odd parts of Unicode more often than by chance."""

import typing
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st

from schemas.avro_schema import is_enum, optional
from schemas.source import limit

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_ITEMS = 2

ODD_TEXTS = (
    "",
    "\0",
    "👩‍👩‍👧‍👦 🇺🇳 👍🏽",  # joined, regional and skin-toned emoji
    "مرحبا בעולם",  # right to left
    "\u202eright-to-left override\u202c",
    "zero\u200bwidth\u200d\u2060\ufeff",
    "e\u0301 and é",  # the same letter, decomposed and composed
    "\u0300\u0301\u0302",  # marks that combine with nothing
    "\U0010ffff\ufffe\uffff",  # the last code point and two that are no characters
    "line\u2028separator\r\n\t\x7f\x85",
    "\U0001d518 ﷽ ß İ ﬀ",  # what changes its length when it is normalised or its case is changed
    "界" * 50,
    "x" * 5000,
)

texts = st.sampled_from(ODD_TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
longs = st.sampled_from([0, -1, 63, 64, -64, -65, (1 << 63) - 1, -(1 << 63)]) | st.integers(-(1 << 63), (1 << 63) - 1)
doubles = st.floats(allow_nan=False, allow_infinity=False)
times = st.integers(int(datetime(1, 1, 2, tzinfo=UTC).timestamp()) * 1000, 253_402_214_400_000).map(
    lambda ms: EPOCH + timedelta(milliseconds=ms)
)

SCALARS: Mapping[object, st.SearchStrategy[Any]] = {
    str: texts,
    int: longs,
    float: doubles,
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
    datetime: times,
}


def any_record(record: type[Any]) -> st.SearchStrategy[Any]:
    """Return the strategy of a record class."""
    return _made(typing.cast("type", record))


@cache
def _made(record: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(record, include_extras=True)
    return st.builds(record, **{field.name: _within(hints[field.name]) for field in fields(record)})


def _within(hint: object) -> st.SearchStrategy[Any]:
    annotation, most = limit(hint)
    return _any(annotation) if most is None else _any(annotation).filter(lambda value: len(value) <= most)


def _any(annotation: object) -> st.SearchStrategy[Any]:
    if (inner := optional(annotation)) is not None:
        return st.none() | _any(inner)
    if annotation in SCALARS:
        return SCALARS[annotation]
    if is_enum(annotation):
        return st.sampled_from(annotation)
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple:
        return st.lists(_any(arguments[0]), max_size=MOST_ITEMS).map(tuple)
    if typing.get_origin(annotation) is Mapping:
        return st.dictionaries(_any(arguments[0]), _any(arguments[1]), max_size=MOST_ITEMS)
    return any_record(typing.cast("type", annotation))
