"""Avro schemas of the records: the generated ones, and the published ones under `schemas/avsc`."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from datetime import datetime
from enum import StrEnum
from inspect import cleandoc
from typing import Any

from schemas import records

NAMESPACE = "forgestream"
PRIMITIVES: Mapping[object, str] = {str: "string", int: "long", float: "double", bool: "boolean", bytes: "bytes"}

Schema = dict[str, Any]

PUBLISHED: tuple[type, ...] = (
    records.TextQuery,
    records.Proposal,
    records.Rating,
    records.AudioChunk,
    records.Transcript,
    records.KnowledgeDocument,
    records.Invalidation,
    records.Command,
    records.Request,
    records.Attack,
    records.Duplicate,
    records.Analysis,
    records.Embedding,
    records.Context,
    records.Prompt,
    records.Decision,
    records.Answer,
    records.TokenEvent,
    records.Outcome,
    records.Evaluation,
    records.Verdict,
    records.Result,
    records.Feedback,
    records.SpeechRequest,
    records.SpeechChunk,
    records.SpokenTurn,
    records.Ranking,
    records.CircuitState,
    records.Session,
    records.SophiaProposal,
    records.Usage,
    records.Alert,
    records.Replay,
    records.ReplayedRequest,
    records.RecordedAnswer,
    records.Effect,
    records.Redrive,
)
"""Every record that is the value of a topic or a table."""


def schema_of(record: type) -> Schema:
    """Return the Avro schema of a record class; a type that occurs again is referred to by its name."""
    schema = _record(record, set())
    return {"type": "record", "name": schema["name"], "namespace": NAMESPACE, **schema}


def optional(annotation: object) -> object | None:
    """Return `X` of `X | None`, None for any other annotation."""
    if isinstance(annotation, types.UnionType):
        inner: object = next(arm for arm in typing.get_args(annotation) if arm is not type(None))
        return inner
    return None


def is_enum(annotation: object) -> typing.TypeGuard[type[StrEnum]]:
    """Whether the annotation is an enumeration."""
    return isinstance(annotation, type) and issubclass(annotation, StrEnum)


def _record(record: type, seen: set[str]) -> Schema:
    seen.add(record.__name__)
    hints = typing.get_type_hints(record, include_extras=True)
    return {
        "type": "record",
        "name": record.__name__,
        "doc": _doc(record),
        "fields": [_field(declared, hints[declared.name], seen) for declared in fields(record)],
    }


def _field(declared: "Field[Any]", hint: object, seen: set[str]) -> Schema:
    annotation, doc, *_ = typing.get_args(hint)
    field = {"name": declared.name, "type": _type(annotation, seen), "doc": doc}
    if declared.default is not MISSING:
        field["default"] = list(declared.default) if isinstance(declared.default, tuple) else declared.default
    return field


def _type(annotation: object, seen: set[str]) -> object:
    if (inner := optional(annotation)) is not None:
        return ["null", _type(inner, seen)]
    if annotation is datetime:
        return {"type": "long", "logicalType": "timestamp-millis"}
    if typing.get_origin(annotation) is tuple:
        return {"type": "array", "items": _type(typing.get_args(annotation)[0], seen)}
    if typing.get_origin(annotation) is Mapping:
        return {"type": "map", "values": _type(typing.get_args(annotation)[1], seen)}
    if annotation in PRIMITIVES:
        return PRIMITIVES[annotation]
    return _named(typing.cast("type", annotation), seen)


def _named(declared: type, seen: set[str]) -> object:
    if declared.__name__ in seen:
        return f"{NAMESPACE}.{declared.__name__}"
    return _enum(declared, seen) if is_enum(declared) else _record(declared, seen)


def _enum(enum: type[StrEnum], seen: set[str]) -> Schema:
    seen.add(enum.__name__)
    return {"type": "enum", "name": enum.__name__, "doc": _doc(enum), "symbols": [str(member) for member in enum]}


def _doc(declared: type) -> str:
    return cleandoc(declared.__doc__ or "")
