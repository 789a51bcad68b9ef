"""Records as JSON and back, for people at a terminal: what `produce` reads and `tail` prints. Kafka carries Avro.

Times are ISO 8601 with an offset, bytes base64, enumerations their values. What has a default may be left out.
"""

import base64
import binascii
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Any, TypeVar

import orjson

R = TypeVar("R")


class JsonInvalid(ValueError):
    """JSON that is no such record; `problems` lists every reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def to_plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - any record, any field; one line per kind of value
    """Return a record as JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {declared.name: to_plain(getattr(value, declared.name)) for declared in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): to_plain(content) for name, content in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, Sequence):
        return [to_plain(item) for item in value]
    return value


def to_json(value: Any, *, indent: bool = False) -> str:  # noqa: ANN401 - as `to_plain`
    """Return a record, or plain values, as JSON text."""
    return orjson.dumps(to_plain(value), option=orjson.OPT_INDENT_2 if indent else None).decode()


def parsed(text: bytes | str) -> object:
    """Return the values of JSON text. Raises JsonInvalid."""
    try:
        found: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise JsonInvalid([f"not JSON: {error}"]) from error
    return found


def from_json(kind: type[R], text: bytes | str) -> R:
    """Return the record that JSON text describes.

    Raises:
        JsonInvalid: with every problem at once.
    """
    return from_plain(kind, parsed(text))


def from_plain(kind: type[R], found: object) -> R:
    """Return the record that JSON values describe.

    Raises:
        JsonInvalid: with every problem at once.
    """
    problems: list[str] = []
    record = _record(kind, found, "", problems)
    if problems:
        raise JsonInvalid(problems)
    return typing.cast("R", record)


def _record(kind: type, found: object, path: str, problems: list[str]) -> object:
    if not isinstance(found, dict):
        problems.append(f"{path or kind.__name__} must be an object, not {_shown(found)}")
        return None
    hints = typing.get_type_hints(kind)
    declared = {field.name: field for field in fields(kind)}
    where = f"{path}." if path else ""
    problems += [f"{where}{name} is no field of {kind.__name__}" for name in found if name not in declared]
    values: dict[str, Any] = {}
    for name, field in declared.items():
        if name in found:
            values[name] = _value(hints[name], found[name], f"{where}{name}", problems)
        elif typing.get_origin(hints[name]) is Mapping:
            values[name] = {}
        elif field.default is MISSING and field.default_factory is MISSING:
            problems.append(f"{where}{name} is missing")
    return None if problems else kind(**values)


def _value(hint: Any, found: object, path: str, problems: list[str]) -> object:  # noqa: ANN401, PLR0911 - one line per kind of type
    if isinstance(hint, types.UnionType):  # always `X | None`
        inner = next(part for part in typing.get_args(hint) if part is not types.NoneType)
        return None if found is None else _value(inner, found, path, problems)
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(
            _value(parts[0], item, f"{path}[{i}]", problems) for i, item in enumerate(_list(found, path, problems))
        )
    if origin is Mapping:
        items = found if isinstance(found, dict) else _wrong(path, "an object", found, problems, {})
        return {name: _value(parts[1], content, f"{path}.{name}", problems) for name, content in items.items()}
    if is_dataclass(hint):
        return _record(typing.cast("type", hint), found, path, problems)
    if issubclass(hint, StrEnum):
        allowed = [str(member) for member in hint]
        return hint(found) if found in allowed else _wrong(path, f"one of {', '.join(allowed)}", found, problems)
    if hint is datetime:
        return _time(found, path, problems)
    if hint is bytes:
        return _bytes(found, path, problems)
    return _primitive(hint, found, path, problems)


def _primitive(hint: type, found: object, path: str, problems: list[str]) -> object:
    if hint is float and isinstance(found, int | float) and not isinstance(found, bool):
        return float(found) if isfinite(found) else _wrong(path, "a finite number", found, problems)
    if isinstance(found, hint) and not (hint is int and isinstance(found, bool)):
        return found
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return _wrong(path, names[hint], found, problems)


def _list(found: object, path: str, problems: list[str]) -> list[object]:
    return found if isinstance(found, list) else _wrong(path, "a list", found, problems, [])


def _time(found: object, path: str, problems: list[str]) -> object:
    try:
        at = datetime.fromisoformat(found) if isinstance(found, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        return _wrong(path, "a time like 2026-11-21T12:00:00Z", found, problems)
    return at.astimezone(UTC)


def _bytes(found: object, path: str, problems: list[str]) -> object:
    try:
        return base64.b64decode(found if isinstance(found, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        return _wrong(path, "base64", found, problems)


def _wrong(path: str, wanted: str, found: object, problems: list[str], instead: Any = None) -> Any:  # noqa: ANN401 - takes the value's place
    problems.append(f"{path} must be {wanted}, not {_shown(found)}")
    return instead


def _shown(found: object) -> str:
    text = orjson.dumps(found).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - what fits in a sentence
