"""Where schema ids come from: the lock file committed beside the schemas, or a Confluent-compatible registry."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from schemas.avro_schema import Schema
from schemas.codec import SchemaUnknown, Serde
from schemas.published import published, versions

R = TypeVar("R")


class SchemaSource(Protocol):
    """Knows which id a schema has."""

    async def start(self, subjects: Mapping[str, type]) -> None:
        """Learn the ids of the subjects (`<topic>-value` -> record class) before the first record is written."""

    def id_for(self, subject: str) -> int:
        """Return the id under which records of the subject are written. Raises LookupError before `start` named it."""

    def writer(self, schema_id: int) -> Schema:
        """Return the schema with the id. Raises SchemaUnknown when it is not in memory."""

    async def fetch(self, schema_id: int) -> None:
        """Load a schema that is not in memory. Raises SchemaUnknown when there is none."""


class LockedIds:
    """Ids from `schemas/avsc/ids.lock.json`: no server needed, the same in every process of a version of this package."""

    def __init__(self) -> None:
        self._known = published()
        self._subjects: dict[str, int] = {}

    async def start(self, subjects: Mapping[str, type]) -> None:
        """Look up the newest version of each record. Raises LookupError for a record that was never published."""
        for subject, record in subjects.items():
            if record is bytes:
                continue
            found = versions(self._known, record.__name__)
            if not found:
                raise LookupError(f"{record.__name__} has no schema in schemas/avsc: run `python -m schemas.generate`")
            self._subjects[subject] = found[-1].schema_id

    def id_for(self, subject: str) -> int:
        """Return the id of the subject's newest version."""
        try:
            return self._subjects[subject]
        except KeyError:
            raise LookupError(f"{subject} was not among the subjects at start") from None

    def writer(self, schema_id: int) -> Schema:
        """Return a published schema."""
        try:
            return self._known[schema_id].schema
        except KeyError:
            raise SchemaUnknown(schema_id) from None

    async def fetch(self, schema_id: int) -> None:
        """Raise SchemaUnknown unless the id is in the lock file: there is nobody else to ask."""
        self.writer(schema_id)


def serde(source: SchemaSource, topic_name: str, record_type: type[R]) -> Serde[R]:
    """Return the codec of a topic's values."""
    return Serde(source, f"{topic_name}-value", record_type)
