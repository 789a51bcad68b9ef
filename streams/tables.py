"""Tables: bytes in Faust with a changelog in Kafka, typed values with one writer outside of it.

A write happens inside the handling of a record. Its changelog record goes to that record's partition through the same producer as every
other output, and the record is acknowledged only when the broker has confirmed it. Each value remembers, per source partition, the
offset it has counted up to: a record that is read again changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar, cast

import faust

from schemas.codec import RecordUndecodable, SchemaUnknown, Serde
from streams.counted import goes_back
from streams.lanes import Slot
from streams.producer import Producer
from streams.scope import current


class Row(Protocol):
    """A value of a table: a record that knows what it has counted."""

    @property
    def counted(self) -> Mapping[str, int]:
        """`topic-partition` -> offset of the last source record counted."""


V = TypeVar("V", bound=Row)


def present_slot() -> Slot:
    """Return the record being handled.

    Raises:
        RuntimeError: a table was written outside of a stage.
    """
    scope = current.get()
    if scope is None:
        raise RuntimeError("a table is written only by the stage that owns it, while it handles a record")
    return scope.slot


class OwnedTable(Generic[V]):
    """The typed view of its owner on a table."""

    def __init__(self, store: MutableMapping[bytes, bytes], serde: Serde[V], initial: Callable[[str], V]) -> None:
        self._store = store
        self._serde = serde
        self._initial = initial

    def get(self, key: str) -> V | None:
        """Return the value of `key`, None when there is none yet."""
        stored = self._store.get(key.encode())
        return None if stored is None else self._serde.decode(stored)

    def update(self, key: str, change: Callable[[V], V]) -> V:
        """Replace the value of `key` by `change(value)`, once per source record; returns the value that now holds."""
        received = present_slot().received
        source = f"{received.topic}-{received.partition}"
        value = self.get(key) or self._initial(key)
        if value.counted.get(source, -1) < received.offset:
            value = replace(cast("Any", change(value)), counted={**value.counted, source: received.offset})
        # written also when nothing changes: the first time the worker may have lost its partitions before the log had it
        self._store[key.encode()] = self._serde.encode(value)
        return value

    def delete(self, key: str) -> None:
        """Forget the value of `key`, here and in the changelog; unknown keys are fine."""
        if key.encode() in self._store:
            del self._store[key.encode()]

    def items(self) -> Iterator[tuple[str, V]]:
        """Iterate over what this worker holds."""
        for key, stored in list(self._store.items()):
            yield key.decode(), self._serde.decode(stored)


def counted_by(serde: Serde[Any], value: bytes | None) -> Mapping[str, int]:
    """Return what a stored value has counted; nothing for a tombstone or what cannot be read."""
    try:
        return {} if value is None else cast("Row", serde.decode(value)).counted
    except (RecordUndecodable, SchemaUnknown):
        return {}


class ChangelogTable(faust.Table[bytes, bytes]):
    """A Faust table whose changelog is written by the engine's producer; recovery is Faust's own, without values that go back."""

    producer: Producer
    row_serde: Serde[Any]

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take in changes in the order of the log."""
        known: dict[bytes, Mapping[str, int]] = {}
        kept = []
        for event in batch:
            key, value = event.message.key, event.message.value
            if key not in known:
                known[key] = counted_by(self.row_serde, self.data.get(key))
            found = counted_by(self.row_serde, value)
            if value is None or not goes_back(found, known[key]):
                known[key] = found
                kept.append(event)
        super().apply_changelog_batch(kept)

    def on_key_set(self, key: bytes, value: bytes) -> None:
        """Write the change to the changelog."""
        self._log_change(key, value)

    def on_key_del(self, key: bytes) -> None:
        """Write a tombstone to the changelog."""
        self._log_change(key, None)

    def _log_change(self, key: bytes, value: bytes | None) -> None:
        slot = present_slot()
        slot.pending += 1
        self.producer.produce(
            self._changelog_topic_name(),
            value,
            key,
            on_delivery=slot.delivered,
            headers=[],
            timestamp_ms=slot.received.timestamp,
            partition=slot.received.partition,
        )
