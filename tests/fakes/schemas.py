"""A schema source whose ids are written in the test."""

from collections.abc import Mapping
from typing import TypeVar

from schemas.avro_schema import Schema, schema_of
from schemas.codec import SchemaUnknown, Serde

R = TypeVar("R")


class FixedIds:
    """Writes everything under `written`, and knows the schemas it is given."""

    def __init__(self, known: Mapping[int, Schema], *, written: int = 1) -> None:
        self._known = known
        self._written = written
        self.asked: list[int] = []

    def id_for(self, subject: str) -> int:
        return self._written

    def writer(self, schema_id: int) -> Schema:
        self.asked.append(schema_id)
        if schema_id not in self._known:
            raise SchemaUnknown(schema_id)
        return self._known[schema_id]


def a_serde(record: type[R], others: Mapping[int, Schema] | None = None) -> Serde[R]:
    """Return a codec that writes with id 1, and reads that and the other ids."""
    return Serde(FixedIds({1: schema_of(record), **(others or {})}), "tests-value", record)
