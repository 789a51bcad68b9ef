"""The published schemas: `avsc/<Record>/<version>.avsc`, and `avsc/ids.lock.json` with the id of every one of them.

A version, once published, stays: bytes written with it may be read for as long as any topic keeps them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from schemas.avro_schema import Schema

LOCK = "ids.lock.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published schema."""

    schema_id: int
    record: str
    version: int
    schema: Schema


@cache
def published() -> Mapping[int, Published]:
    """Return every published schema by its id, as installed."""
    return read(files("schemas") / "avsc")


def read(folder: Traversable) -> Mapping[int, Published]:
    """Return every published schema of a folder by its id."""
    lock = json.loads((folder / LOCK).read_text(encoding="utf-8"))
    found = {}
    for number, place in lock.items():
        record, _, version = place.partition("/")
        text = (folder / record / f"{version}.avsc").read_text(encoding="utf-8")
        found[int(number)] = Published(
            schema_id=int(number), record=record, version=int(version), schema=json.loads(text)
        )
    return found


def versions(known: Mapping[int, Published], record: str) -> list[Published]:
    """Return the versions of a record, oldest first."""
    return sorted((one for one in known.values() if one.record == record), key=lambda one: one.version)
