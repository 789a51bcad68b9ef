"""The record of the faults in three generations: as an earlier release wrote it, as now, and as a later one may write it."""

import io
import json
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import fastavro

from schemas.published import Published, published, versions
from schemas.records import Outcome
from schemas.registry import LockedIds

YESTERDAY_ID, TOMORROW_ID = 90_000, 90_001
FIELD = {"name": "region", "type": ["null", "string"], "default": None, "doc": "Where the call was made"}


def known() -> Mapping[int, Published]:
    """Return every published schema, and two that nobody here writes: one lacks the newest field, one has a field more."""
    newest = versions(published(), Outcome.__name__)[-1].schema
    fields = newest["fields"]
    others = {YESTERDAY_ID: ("yesterday", fields[:-1]), TOMORROW_ID: ("tomorrow", [*fields, FIELD])}
    return dict(published()) | {
        schema_id: Published(
            schema_id=schema_id, record=f"Outcome of {day}", version=1, schema={**newest, "fields": theirs}
        )
        for schema_id, (day, theirs) in others.items()
    }


def ids() -> LockedIds:
    """Return where a worker finds them all."""
    return LockedIds(known())


def generations() -> Sequence[int]:
    """Return the schema ids, oldest first."""
    return [YESTERDAY_ID, *(one.schema_id for one in versions(published(), Outcome.__name__)), TOMORROW_ID]


def encoded(schema_id: int, fields: Mapping[str, Any]) -> bytes:
    """Return a record as a program of that generation writes it."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, _parsed(schema_id), {"region": "here", **fields})
    return struct.pack(">bI", 0, schema_id) + body.getvalue()


@cache
def _parsed(schema_id: int) -> Any:  # noqa: ANN401 - fastavro's own type
    return fastavro.parse_schema(json.loads(json.dumps(known()[schema_id].schema)))
