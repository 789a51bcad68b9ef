"""The record of the faults in three generations: as published first, as now, and as a later release may write it."""

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

TOMORROW_ID = 90_001
FIELD = {"name": "region", "type": ["null", "string"], "default": None, "doc": "Where the call was made"}


def known() -> Mapping[int, Published]:
    """Return every published schema, and one of tomorrow that nobody here writes."""
    newest = versions(published(), Outcome.__name__)[-1]
    schema = json.loads(json.dumps(newest.schema))
    schema["fields"].append(FIELD)
    tomorrow = Published(schema_id=TOMORROW_ID, record="Outcome of tomorrow", version=1, schema=schema)
    return {**published(), TOMORROW_ID: tomorrow}


def ids() -> LockedIds:
    """Return where a worker finds them all."""
    return LockedIds(known())


def generations() -> Sequence[int]:
    """Return the schema ids, oldest first."""
    return [*(one.schema_id for one in versions(published(), Outcome.__name__)), TOMORROW_ID]


def encoded(schema_id: int, fields: Mapping[str, Any]) -> bytes:
    """Return a record as a program of that generation writes it."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, _parsed(schema_id), {"region": "here", **fields})
    return struct.pack(">bI", 0, schema_id) + body.getvalue()


@cache
def _parsed(schema_id: int) -> Any:  # noqa: ANN401 - fastavro's own type
    return fastavro.parse_schema(json.loads(json.dumps(known()[schema_id].schema)))
