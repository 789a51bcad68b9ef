"""Tables as they are seen from outside: by their changelogs."""

from typing import Any, TypeVar

from streams.settings import Settings
from streams.topic import Topic
from topology.diagram import drawn
from topology.units import group

R = TypeVar("R")


def changelog(table: str, record: type[R], settings: Settings) -> Topic[R]:
    """Return the topic that repeats a table of a deployment."""
    owners = {name: unit for unit, name in drawn(settings).tables()}
    return Topic(
        name=f"{group(owners[table], settings.kafka.topic_prefix)}-{table}-changelog",
        record=record,
        key=_as_it_came,
        key_name="table key",
        owner=owners[table],
        partitions=settings.kafka.partitions,
        doc=f"Changelog of table {table}",
        retention=None,
        compacted=True,
    )


def _as_it_came(_: Any) -> str:  # noqa: ANN401 - of any table
    raise TypeError("a table is written by its owner alone")
