"""Converters between records and the plain values fastavro knows, compiled once per class.

The generated functions are what one would write by hand: a dict display one way, the constructor call the other way.
`tests/benchmarks/codec.py` compares them with a loop over the fields.
"""

import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache
from math import isfinite
from typing import Any

from schemas.avro_schema import PRIMITIVES, is_enum, optional

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

Plain = dict[str, Any]
Names = dict[str, Any]


def finite(number: float) -> float:
    """Return the number. Raises ValueError for NaN and infinity."""
    if not isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number


def finites(numbers: Iterable[float]) -> tuple[float, ...]:
    """Return the numbers. Raises ValueError for NaN and infinity among them."""
    found = tuple(numbers)
    # The sum finds NaN and infinity at a tenth of the price; but finite numbers, too, may add up to infinity.
    if not isfinite(sum(found)):
        for number in found:
            finite(number)
    return found


@cache
def plain_of(record: type) -> Callable[[Any], Plain]:
    """Return the function that turns a record into what fastavro writes."""
    names: Names = {"EPOCH": EPOCH, "MILLISECOND": MILLISECOND, "finite": finite, "finites": finites}
    hints = typing.get_type_hints(record)
    pairs = (f"{field.name!r}: {_to_plain(hints[field.name], f'r.{field.name}', names)}" for field in fields(record))
    return _compiled(f"lambda r: {{{', '.join(pairs)}}}", names)


@cache
def record_of(record: type) -> Callable[[Plain], Any]:
    """Return the function that turns what fastavro reads into a record."""
    names: Names = {"EPOCH": EPOCH, "timedelta": timedelta, "finite": finite, "finites": finites, "record": record}
    hints = typing.get_type_hints(record)
    pairs = (f"{field.name}={_to_record(hints[field.name], f'd[{field.name!r}]', names)}" for field in fields(record))
    return _compiled(f"lambda d: record({', '.join(pairs)})", names)


def _to_plain(annotation: object, value: str, names: Names) -> str:
    if (inner := optional(annotation)) is not None:
        return _unless_none(value, _to_plain(inner, "v", names))
    if annotation in PRIMITIVES or is_enum(annotation):
        return f"finite({value})" if annotation is float else value
    if annotation is datetime:
        return f"({value} - EPOCH) // MILLISECOND"
    if typing.get_origin(annotation) is tuple:
        item = typing.get_args(annotation)[0]
        return f"finites({value})" if item is float else _each(value, _to_plain(item, "i", names))
    if typing.get_origin(annotation) is Mapping:
        return f"dict({value})"
    return _call(plain_of, annotation, value, names)


def _to_record(annotation: object, value: str, names: Names) -> str:
    if (inner := optional(annotation)) is not None:
        return _unless_none(value, _to_record(inner, "v", names))
    if is_enum(annotation):
        names[annotation.__name__] = {str(member): member for member in annotation}
        return f"{annotation.__name__}[{value}]"
    if annotation in PRIMITIVES:
        return f"finite({value})" if annotation is float else value
    if annotation is datetime:
        return f"EPOCH + timedelta(0, 0, 0, {value})"
    if typing.get_origin(annotation) is tuple:
        item = typing.get_args(annotation)[0]
        return f"finites({value})" if item is float else f"tuple({_each(value, _to_record(item, 'i', names))})"
    if typing.get_origin(annotation) is Mapping:
        return value
    return _call(record_of, annotation, value, names)


def _unless_none(value: str, converted: str) -> str:
    return value if converted == "v" else f"None if (v := {value}) is None else {converted}"


def _each(value: str, converted: str) -> str:
    return value if converted == "i" else f"[{converted} for i in {value}]"


def _call(converter: Callable[[type], Callable[[Any], Any]], annotation: object, value: str, names: Names) -> str:
    nested = typing.cast("type", annotation)
    names[f"of_{nested.__name__}"] = converter(nested)
    return f"of_{nested.__name__}({value})"


def _compiled(source: str, names: Names) -> Any:  # noqa: ANN401 - a function whose type only the caller knows
    return eval(source, names)  # noqa: S307 - the source is made above from our own field names
