"""Functions that write a record as Avro, generated once per class: what one would write by hand for speed.

fastavro would take a dict per record and validate every union: see `tests/benchmarks/codec.py` for the comparison.
"""

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache
from math import isfinite
from struct import Struct, pack
from typing import Any

from schemas.avro_schema import is_enum, optional
from schemas.source import Source, limit
from schemas.varint import LENGTHS, SMALL, length_bytes, zigzag

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

Encoder = Callable[[Any, Callable[[bytes], None]], None]


@cache
def encoder(record: type) -> Encoder:
    """Return the function that appends the bytes of a record to a list: `encode(record, pieces.append)`.

    It raises TypeError, ValueError, AttributeError, LookupError or OverflowError for what the schema does not allow.
    """
    source = Source("r, put", _NAMES)
    hints = typing.get_type_hints(record, include_extras=True)
    for field in fields(record):
        annotation, most = limit(hints[field.name])
        value = f"r.{field.name}"
        if most is not None:
            source.add(f"if len({value}) > {most}: too_long({field.name!r}, {most})")
        _write(source, annotation, value)
    return source.function()


def all_finite(numbers: Sequence[float]) -> None:
    """Raise ValueError for NaN and infinity."""
    # The sum finds them at a tenth of the price; but finite numbers, too, may add up to infinity.
    if isfinite(sum(numbers)):
        return
    for number in numbers:
        if not isfinite(number):
            not_finite(number)


def not_finite(number: float) -> None:
    """Refuse NaN or infinity."""
    raise ValueError(f"{number} is not a finite number")


def too_long(name: str, most: int) -> None:
    """Refuse a field beyond its limit."""
    raise ValueError(f"{name} is longer than {most}")


def _doubles(numbers: Sequence[float]) -> bytes:
    if not numbers:
        return b"\0"
    all_finite(numbers)
    return length_bytes(len(numbers)) + pack(f"<{len(numbers)}d", *numbers) + b"\0"


_NAMES: Mapping[str, object] = {
    "BOOLEANS": {False: b"\0", True: b"\1"},
    "EPOCH": EPOCH,
    "LENGTHS": LENGTHS,
    "MILLISECOND": MILLISECOND,
    "double": Struct("<d").pack,
    "doubles": _doubles,
    "length_bytes": length_bytes,
    "not_finite": not_finite,
    "too_long": too_long,
    "zigzag": zigzag,
}


def _write(source: Source, annotation: object, value: str) -> None:
    """Add the lines that write the value of an expression."""
    inner = optional(annotation)
    if inner is not None:
        held = source.variable()
        source.add(f"{held} = {value}")
        with source.inside(f"if {held} is None:"):
            source.add("put(b'\\0')")
        with source.inside("else:"):
            source.add("put(b'\\2')")
            _write(source, inner, held)
    elif annotation in {str, bytes}:
        _write_bytes(source, value if annotation is bytes else f"{value}.encode()")
    elif annotation is float:
        held = source.variable()
        # The difference is 0 for every number but NaN and infinity.
        source.add(f"{held} = {value}", f"if {held} - {held}: not_finite({held})", f"put(double({held}))")
    elif annotation is int:
        source.add(f"put(zigzag({value}))")
    elif annotation is bool:
        source.add(f"put(BOOLEANS[{value}])")
    elif annotation is datetime:
        source.add(f"put(zigzag(({value} - EPOCH) // MILLISECOND))")
    elif is_enum(annotation):
        symbols = source.constant({member: zigzag(index) for index, member in enumerate(annotation)})
        source.add(f"put({symbols}[{value}])")
    elif typing.get_origin(annotation) in {tuple, Mapping}:
        _write_items(source, annotation, value)
    else:
        source.add(f"{source.constant(encoder(typing.cast('type', annotation)))}({value}, put)")


def _write_bytes(source: Source, value: str) -> None:
    data, length = source.variable(), source.variable()
    source.add(
        f"{data} = {value}",
        f"{length} = len({data})",
        f"put(LENGTHS[{length}] if {length} < {SMALL} else length_bytes({length}))",
        f"put({data})",
    )


def _write_items(source: Source, annotation: object, value: str) -> None:
    first, second = typing.get_args(annotation)
    is_map = typing.get_origin(annotation) is Mapping
    if not is_map and first is float:
        source.add(f"put(doubles({value}))")
        return
    held, item = source.variable(), source.variable()
    source.add(f"{held} = {value}")
    with source.inside(f"if {held}:"):
        source.add(f"put(length_bytes(len({held})))")
        with source.inside(f"for {item} in {held}:"):
            _write(source, first, item)
            if is_map:
                _write(source, second, f"{held}[{item}]")
    source.add("put(b'\\0')")
