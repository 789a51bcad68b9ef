"""Tables: rows in memory, their changes in a compacted topic, typed values with one writer outside of it.

A write happens inside the handling of a record. Its changelog record goes to that record's partition through the same producer as every
other output, and the record is acknowledged only when the broker has confirmed it. Each value remembers, per source partition, the
offset it has counted up to: a record that is read again changes nothing. `streams.recovery` reads the changelogs back.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar, cast

from schemas.codec import RecordUndecodable, SchemaUnknown, Serde
from streams.counted import goes_back
from streams.lanes import Slot
from streams.partitions import partition as partition_of
from streams.producer import Headers, Producer, stored_end
from streams.scope import current

TENURE_HEADER = "forgestream-tenure"
KEYS_A_LOOK = 8  # of other partitions, or gone, that one look passes over


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
        self._rounds: dict[int, Iterator[bytes]] = {}

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

    def sweep(self, over: Callable[[V], bool], partitions: int) -> None:
        """Look at one more row of the partition of the record in hand, and forget it when it is over.

        A table is never looked at as a whole, which would take too long. Rows of other partitions are none of this record's
        business: their tombstones belong into their own log.
        """
        here = present_slot().received.partition
        keys = self._rounds.get(here)
        if keys is None:
            keys = self._rounds[here] = iter(list(self._store))
        for _ in range(KEYS_A_LOOK):
            key = next(keys, None)
            if key is None:
                del self._rounds[here]
                return
            if partition_of(key, partitions) == here and key in self._store:
                if over(self._serde.decode(self._store[key])):
                    del self._store[key]
                return

    def items(self) -> Iterator[tuple[str, V]]:
        """Iterate over what this worker holds."""
        for key, stored in list(self._store.items()):
            yield key.decode(), self._serde.decode(stored)


@dataclass(frozen=True, slots=True)
class Change:
    """One record of a changelog. `tenure` is that of the worker that wrote it."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None
    tenure: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """A row as it is held."""

    value: bytes
    partition: int
    tenure: int


def counted_by(serde: Serde[Any], value: bytes) -> Mapping[str, int]:
    """Return what a stored value has counted; nothing for what cannot be read."""
    try:
        return cast("Row", serde.decode(value)).counted
    except (RecordUndecodable, SchemaUnknown):
        return {}


def tenure_in(headers: Headers) -> int:
    """Return the tenure a change was written in; 0 for one without."""
    found = next((value for name, value in headers if name == TENURE_HEADER), b"")
    return int(found) if found.isdigit() else 0


class ChangelogTable(MutableMapping[bytes, bytes]):
    """The rows of the partitions that are this worker's, and their changelog.

    A worker's tenure of a partition begins when it has read the changelog to its end, and is numbered by that end: a later tenure has a
    number at least as high. So it can be told that a change was written by a worker whose partition was another's already.
    """

    def __init__(self, name: str, changelog: str, serde: Serde[Any], producer: Producer) -> None:
        self.name = name
        self.changelog = changelog
        self._serde = serde
        self._producer = producer
        self.sources: set[str] = set()  # topics whose records have changed it, in this life or before
        self._rows: dict[bytes, Held] = {}
        self._read: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._tenures: dict[int, int] = {}
        self._newest: dict[int, int] = {}

    def __getitem__(self, key: bytes) -> bytes:
        """Return a row."""
        return self._rows[key].value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Change a row, here and in the changelog."""
        partition, tenure = self._log_change(key, value)
        self._rows[key] = Held(value, partition, tenure)

    def __delitem__(self, key: bytes) -> None:
        """Forget a row, here and in the changelog."""
        del self._rows[key]
        self._log_change(key, None)

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the keys."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._rows)

    def end(self, partition: int) -> int:
        """Return where a changelog ends as far as is known here: an end that was read, or that of a confirmed change."""
        return self._ends.get(partition, 0)

    def read_up_to(self, partition: int) -> int:
        """Return the offset from which on the changelog has not been read; what this worker has written itself is read again."""
        return self._read.get(partition, 0)

    def keep(self, partitions: Collection[int]) -> None:
        """Forget the rows of all other partitions."""
        self._rows = {key: row for key, row in self._rows.items() if row.partition in partitions}
        for known in (self._read, self._tenures, self._newest):
            for partition in set(known) - set(partitions):
                del known[partition]

    def apply(self, change: Change) -> None:
        """Take in the next change of a changelog; one written by a worker whose partition was another's already changes nothing."""
        self._read[change.partition] = change.offset + 1
        self._newest[change.partition] = max(self._newest.get(change.partition, 0), change.tenure)
        known = self._rows.get(change.key)
        if known is not None and self._is_older(change, known):
            return
        if change.value is None:
            self._rows.pop(change.key, None)
        else:
            self._rows[change.key] = Held(change.value, change.partition, change.tenure)

    def begin(self, partition: int, end: int) -> None:
        """Begin a tenure: everything before `end` has been read."""
        self._read[partition] = max(self.read_up_to(partition), end)
        self._confirm(partition, end)
        # the second only where offsets began anew, as in a copy of the topic on another cluster
        self._tenures[partition] = max(end, self._newest.get(partition, 0) + 1)

    def _confirm(self, partition: int, end: int) -> None:
        self._ends[partition] = max(self.end(partition), end)

    def _is_older(self, change: Change, known: Held) -> bool:
        if change.tenure != known.tenure or change.value is None:
            return change.tenure < known.tenure
        return goes_back(counted_by(self._serde, change.value), counted_by(self._serde, known.value))

    def _log_change(self, key: bytes, value: bytes | None) -> tuple[int, int]:
        slot = present_slot()
        partition = slot.received.partition
        tenure = self._tenures.get(partition, 0)
        self.sources.add(slot.received.topic)
        slot.pending += 1

        def delivered(error: object, message: object) -> None:
            self._confirm(partition, stored_end(message))
            slot.delivered(error, message)

        self._producer.produce(
            self.changelog,
            value,
            key,
            on_delivery=delivered,
            headers=[(TENURE_HEADER, b"%d" % tenure)],
            timestamp_ms=slot.received.timestamp,
            partition=partition,
        )
        return partition, tenure
