"""Functions that read a record from Avro, generated once per pair of writer's schema and record class.

Avro's schema resolution happens while the function is made: fields the class does not have are skipped, fields the
writer did not have get their default, numbers are widened. `schemas.compatibility.unreadable` has said before that it
can be done, and that no type contains itself or takes no bytes in an array.

Reading past the end needs no test of its own: a slice ends where the data ends while the position goes on, and then
either the next byte that is looked at or the comparison of the last position with the length fails. A string that
claims 2**60 bytes allocates nothing.
"""

import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime, timedelta
from functools import cache
from struct import Struct, unpack_from
from typing import Any

from schemas.avro_schema import Schema, is_enum, optional
from schemas.encoder import EPOCH, all_finite, not_finite, too_long
from schemas.source import Source, limit
from schemas.varint import HIGH, block_at, rest_of, size_of

Decoder = Callable[[bytes, int], tuple[Any, int]]


def decoder(written: Schema, record: type | None) -> Decoder:
    """Return the function that reads a record: `decode(data, position)` gives it and the position after it.

    `written` is the writer's schema as `schemas.compatibility.expanded` returns it; without a class it only skips.
    The function raises ValueError, LookupError, OverflowError or struct.error for bytes that are no such record.
    """
    source = Source("d, i", _NAMES)
    hints = typing.get_type_hints(record, include_extras=True) if record else {}
    values: dict[str, str] = {}
    for field in written["fields"]:
        name = field["name"]
        annotation, most = limit(hints[name]) if name in hints else (None, None)
        values[name] = value = _read(source, field["type"], annotation)
        if most is not None:
            source.add(f"if len({value}) > {most}: too_long({name!r}, {most})")
    if record is None:
        source.add("return None, i")
    else:
        _construct(source, record, values)
    return source.function()


def _construct(source: Source, record: type, values: Mapping[str, str]) -> None:
    """Add the lines that make the record.

    A frozen class pays 70 ns per field in its constructor; a twin of the same layout that is not frozen pays 10, and
    becomes the record when its fields are set.
    """
    source.add(f"r = new({source.constant(_twin(record))})")
    for field in fields(record):
        default = "" if field.default is MISSING else source.constant(field.default)
        source.add(f"r.{field.name} = {values.get(field.name, default)}")
    source.add(f"r.__class__ = {source.constant(record)}", "return r, i")


@cache
def _twin(record: type) -> type:
    return type(record.__name__, (), {"__slots__": tuple(field.name for field in fields(record))})


def _bad_branch(index: int) -> None:
    raise ValueError(f"a union has no branch {index / 2:g}")


def _doubles_at(data: bytes, at: int) -> tuple[tuple[float, ...], int]:
    found: list[float] = []
    while True:
        count, at = block_at(data, at)
        if not count:
            break
        found += unpack_from(f"<{count}d", data, at)
        at += 8 * count
    all_finite(found)
    return tuple(found), at


_NAMES: Mapping[str, object] = {
    "BOOLEANS": (False, True),
    "EPOCH": EPOCH,
    "bad_branch": _bad_branch,
    "block_at": block_at,
    "double_at": Struct("<d").unpack_from,
    "doubles_at": _doubles_at,
    "float_at": Struct("<f").unpack_from,
    "new": object.__new__,
    "not_finite": not_finite,
    "rest_of": rest_of,
    "size_of": size_of,
    "timedelta": timedelta,
    "too_long": too_long,
}


def _read(source: Source, written: Any, annotation: object) -> str:  # noqa: ANN401 - JSON
    """Add the lines that read a value, or skip it without an annotation; return the expression it is in afterwards."""
    if isinstance(written, list):
        return _read_union(source, written, annotation)
    annotation = optional(annotation) or annotation
    kind = written["type"]
    if kind in {"string", "bytes"}:
        return _read_bytes(source, annotation)
    if kind in {"array", "map"}:
        return _read_items(source, written, annotation)
    if kind in {"int", "long"}:
        return _read_whole(source, annotation)
    value = source.variable()
    if kind in {"double", "float"}:
        source.add(f"{value}, = {kind}_at(d, i)", f"i += {8 if kind == 'double' else 4}")
        source.add(f"if {value} - {value}: not_finite({value})")
    elif kind == "boolean":
        source.add(f"{value} = BOOLEANS[d[i]]", "i += 1")
    elif kind == "enum":
        members = source.constant(_members(written["symbols"], annotation))
        source.add(f"{value} = {members}[{_read_number(source)}]")
    elif kind == "record":
        nested = source.constant(decoder(written, typing.cast("type | None", annotation)))
        source.add(f"{value}, i = {nested}(d, i)")
    else:  # null, or fixed, which no record of ours has
        source.add(f"{value} = None", f"i += {int(written.get('size', 0))}")
    return value


def _members(symbols: list[str], annotation: object) -> dict[int, object]:
    """Return the member of each symbol by its zigzag index; a KeyError refuses all others."""
    known: Mapping[str, object] = (
        {str(member): member for member in annotation} if is_enum(annotation) else dict.fromkeys(symbols)
    )
    return {2 * index: known[symbol] for index, symbol in enumerate(symbols) if symbol in known}


def _read_number(source: Source) -> str:
    """Add the lines that read a number, still zigzag."""
    number = source.variable()
    source.add(f"{number} = d[i]", "i += 1", f"if {number} > 127: {number}, i = rest_of({number}, d, i)")
    return number


def _read_whole(source: Source, annotation: object) -> str:
    number, value = _read_number(source), source.variable()
    whole = f"{number} >> 1 ^ -({number} & 1)"
    if annotation is datetime:
        whole = f"EPOCH + timedelta(0, 0, 0, {whole})"
    source.add(f"{value} = float({whole})" if annotation is float else f"{value} = {whole}")
    return value


def _read_bytes(source: Source, annotation: object) -> str:
    length, end, value = source.variable(), source.variable(), source.variable()
    source.add(f"{length} = d[i]", "i += 1")
    source.add(f"if {length} & {HIGH | 1}: {length}, i = size_of({length}, d, i)", f"else: {length} >>= 1")
    source.add(f"{end} = i + {length}")
    source.add(f"{value} = d[i:{end}]{'.decode()' if annotation is str else ''}", f"i = {end}")
    return value


def _read_union(source: Source, written: list[Any], annotation: object) -> str:
    number, value = _read_number(source), source.variable()
    for index, arm in enumerate(written):
        with source.inside(f"{'elif' if index else 'if'} {number} == {2 * index}:"):
            source.add(f"{value} = {'None' if arm['type'] == 'null' else _read(source, arm, annotation)}")
    source.add(f"else: bad_branch({number})")
    return value


def _read_items(source: Source, written: Schema, annotation: object) -> str:
    item_type, *_ = typing.get_args(annotation) or (None,)
    item, is_map = written["inside"], written["type"] == "map"
    value = source.variable()
    if not is_map and item == {"type": "double"}:
        source.add(f"{value}, i = doubles_at(d, i)")
        return value
    count = source.variable()
    source.add(f"{value} = {{}}" if is_map else f"{value} = []")
    with source.inside("while True:"):
        source.add(f"{count}, i = block_at(d, i)", f"if not {count}: break")
        with source.inside(f"for _ in range({count}):"):
            if is_map:
                key = _read_bytes(source, str)
                source.add(f"{value}[{key}] = {_read(source, item, (typing.get_args(annotation) or (None, None))[1])}")
            else:
                source.add(f"{value}.append({_read(source, item, item_type)})")
    if not is_map:
        source.add(f"{value} = tuple({value})")
    return value
