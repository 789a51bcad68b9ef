"""Key-ordered concurrency: many records of a partition under way, strictly in order per key, acknowledged in order of offset.

A `Window` holds the records of one partition from the moment they are taken until they are acknowledged. Records of one key form a
lane: the next starts when the handler of the one before has returned. A record is complete when its handler has returned and every
output is confirmed; the watermark is the offset after the last record before which all are complete.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import asyncio


class TopicPartition(NamedTuple):
    """One partition of one topic; equal to every client library's own tuple of the two."""

    topic: str
    partition: int


class Received(Protocol):
    """A record as the consumer hands it over, not yet decoded."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - Kafka's own names
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class Handled(NamedTuple):
    """A complete record that waits for those before it: where it was, and nothing of what it held."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class Slot:
    """One record under way. `pending` counts its handler and its unconfirmed outputs."""

    __slots__ = ("begun", "pending", "received", "size", "task", "window")

    def __init__(self, window: "Window", received: Received) -> None:
        self.window = window
        self.received: Received = received
        self.size = len(received.value or b"") + len(received.key or b"")
        self.pending = 1
        self.begun = False
        self.task: asyncio.Task[None] | None = None

    def settle(self) -> None:
        """Count one of the pending things as done."""
        self.pending -= 1
        if self.pending == 0:
            self.window.complete(self)

    def delivered(self, error: object, _message: object) -> None:
        """Take the delivery report of one output; an unconfirmed output leaves the record incomplete for ever."""
        if error is None:
            self.pending -= 1
            if self.pending == 0:
                self.window.complete(self)
        else:
            self.window.on_lost(self, error)


class Window:
    """The records of one partition under way.

    Args:
        start: begins the handling of a slot; returns True when the handler has already returned, False when `release` will be called.
        in_flight: most handlers that wait at the same time.
        most_records: most records held; those beyond stay in the backlog and the partition should be paused.
        most_bytes: most bytes of keys and values held; a complete record holds none, however many before it are not.
        ordered: False begins records of one key side by side, in order of offset; the stage then keeps what order it needs.
        on_room: called when the backlog has been taken in and the partition may be resumed.
        on_lost: called with the error when the broker did not confirm an output.
    """

    def __init__(
        self,
        *,
        start: Callable[[Slot], bool],
        in_flight: int,
        most_records: int,
        most_bytes: int,
        ordered: bool = True,
        on_room: Callable[[], None],
        on_lost: Callable[[Slot, object], None],
    ) -> None:
        self._start = start
        self._in_flight = in_flight
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._ordered = ordered
        self._on_room = on_room
        self.on_lost = on_lost
        self._slots: deque[Slot] = deque()
        self._lanes: dict[bytes, deque[Slot]] = {}
        self._ready: deque[Slot] = deque()
        self._backlog: deque[Received] = deque()
        self._running = 0
        self._bytes = 0
        self._filling = False
        self.watermark: int | None = None
        self.dropped = False

    def __len__(self) -> int:
        """Count the records held, the backlog included."""
        return len(self._slots) + len(self._backlog)

    @property
    def oldest(self) -> Slot | None:
        """The record that holds the watermark back."""
        return self._slots[0] if self._slots else None

    @property
    def paused(self) -> bool:
        """True while the backlog waits for room."""
        return bool(self._backlog)

    def offer(self, batch: Iterable[Received]) -> bool:
        """Take in a batch, in order of offset. Returns False when the partition should be paused."""
        self._backlog.extend(batch)
        self._fill()
        return not self._backlog

    def release(self, slot: Slot) -> None:
        """Let the lane of `slot` go on: its handler has returned."""
        self._running -= 1
        following = self._next_of_lane(slot)
        if following is not None:
            self._begin(following)
        while self._ready and self._running < self._in_flight:
            self._begin(self._ready.popleft())

    def complete(self, slot: Slot) -> None:
        """Move the watermark over everything complete, and take in more of the backlog when half of the room is free."""
        slots = self._slots
        self._bytes -= slot.size
        slot.size = 0
        if slots and slots[0] is not slot:
            was = slot.received
            slot.received = Handled(was.topic, was.partition, was.offset, was.timestamp, was.key)
        while slots and slots[0].pending == 0:
            self.watermark = slots.popleft().received.offset + 1
        if self._backlog and not self._filling and (not slots or self._has_room(2)):
            self._fill()
            if not self._backlog:
                self._on_room()

    def shed(self) -> None:
        """Begin nothing more; what has begun goes on. The watermark stops before the first record that had not begun."""
        self._backlog.clear()
        self._ready.clear()
        for lane in self._lanes.values():
            lane.clear()

    @property
    def busy(self) -> bool:
        """True while a record that has begun is not complete."""
        return any(slot.begun and slot.pending for slot in self._slots)

    def drop(self) -> None:
        """Forget everything and cancel what runs; nothing of it will be acknowledged."""
        self.dropped = True
        self._backlog.clear()
        self._ready.clear()
        self._lanes.clear()
        for slot in self._slots:
            if slot.task is not None:
                slot.task.cancel()
        self._slots.clear()

    def _has_room(self, share: int) -> bool:
        return len(self._slots) < self._most_records // share and self._bytes < self._most_bytes // share

    def _fill(self) -> None:
        if self._filling:
            return
        self._filling = True
        try:
            while self._backlog and (self._has_room(1) or not self._slots):
                slot = Slot(self, self._backlog.popleft())
                self._slots.append(slot)
                self._bytes += slot.size
                self._enter(slot)
        finally:
            self._filling = False

    def _enter(self, slot: Slot) -> None:
        key = self._lane_of(slot)
        if key is not None and (lane := self._lanes.get(key)) is not None:
            lane.append(slot)
        elif self._running < self._in_flight:
            self._begin(slot)
        else:
            if key is not None:
                self._lanes[key] = deque()
            self._ready.append(slot)

    def _begin(self, slot: Slot) -> None:
        following: Slot | None = slot
        while following is not None:
            following.begun = True
            if not self._start(following):
                self._running += 1
                if (key := self._lane_of(following)) is not None:
                    self._lanes.setdefault(key, deque())
                return
            following = self._next_of_lane(following)

    def _lane_of(self, slot: Slot) -> bytes | None:
        return slot.received.key if self._ordered else None

    def _next_of_lane(self, slot: Slot) -> Slot | None:
        key = self._lane_of(slot)
        if key is None or (lane := self._lanes.get(key)) is None:
            return None
        if lane:
            return lane.popleft()
        del self._lanes[key]
        return None
