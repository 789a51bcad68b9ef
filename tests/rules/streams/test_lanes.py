"""Properties of lanes, the watermark and the bounds, for any order of arrivals, returns and confirmations."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lanes import Slot, Window
from tests.fakes.received import FakeReceived

RECORDS = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", None]), st.integers(0, 40)), max_size=60)
CHOICES = st.lists(st.integers(0, 1000), max_size=200)


class Observed:
    """A window, and what it did. Handlers wait until `finish`, and then one output waits until `confirm`."""

    def __init__(
        self,
        *,
        in_flight: int = 4,
        most_records: int = 8,
        most_bytes: int = 100,
        waits: Callable[[Slot], bool] | None = None,
    ) -> None:
        self.begun: list[Slot] = []
        self.running: list[Slot] = []
        self.unconfirmed: list[Slot] = []
        self.resumed = 0
        self.lost: list[object] = []
        self._waits = waits or (lambda _: True)
        self.window = Window(
            start=self._start,
            in_flight=in_flight,
            most_records=most_records,
            most_bytes=most_bytes,
            on_room=self._on_room,
            on_lost=lambda _, error: self.lost.append(error),
        )

    def finish(self, slot: Slot) -> None:
        self.running.remove(slot)
        slot.pending += 1
        self.unconfirmed.append(slot)
        self.window.release(slot)
        slot.settle()

    def confirm(self, slot: Slot) -> None:
        self.unconfirmed.remove(slot)
        slot.delivered(None, None)

    def finish_all(self) -> None:
        while self.running or self.unconfirmed:
            if self.running:
                self.finish(self.running[0])
            else:
                self.confirm(self.unconfirmed[-1])

    def offsets(self) -> list[int]:
        return [slot.received.offset for slot in self.begun]

    def _start(self, slot: Slot) -> bool:
        self.begun.append(slot)
        if self._waits(slot):
            self.running.append(slot)
            return False
        slot.pending += 1
        self.unconfirmed.append(slot)
        slot.settle()
        return True

    def _on_room(self) -> None:
        self.resumed += 1


def received(records: Sequence[tuple[bytes | None, int]]) -> list[FakeReceived]:
    return [FakeReceived(offset, key=key, value=b"x" * size) for offset, (key, size) in enumerate(records)]


def check(observed: Observed, *, in_flight: int, most_records: int, most_bytes: int) -> None:
    """Assert what holds at every moment."""
    keys = [slot.received.key for slot in observed.running if slot.received.key is not None]
    assert len(keys) == len(set(keys)), "two records of one key are being handled at once"
    for key in set(keys):
        offsets = [slot.received.offset for slot in observed.begun if slot.received.key == key]
        assert offsets == sorted(offsets)
    assert len(observed.running) <= in_flight
    held = list(observed.window._slots)
    assert len(held) <= most_records
    assert sum(slot.size for slot in held[:-1]) < max(most_bytes, 1)
    incomplete = [*observed.running, *observed.unconfirmed]
    if incomplete and observed.window.watermark is not None:
        assert observed.window.watermark <= min(slot.received.offset for slot in incomplete)
    if observed.window.watermark is not None:
        begun = observed.offsets()
        assert set(range(observed.window.watermark)) <= set(begun), "the watermark passed a record that never began"


@given(
    records=RECORDS,
    choices=CHOICES,
    in_flight=st.integers(1, 4),
    most_records=st.integers(1, 9),
    most_bytes=st.integers(1, 120),
    waiting=st.sets(st.integers(0, 60)),
)
def test_any_order_of_events_keeps_order_watermark_and_bounds_and_loses_nothing(
    records: list[tuple[bytes | None, int]],
    choices: list[int],
    in_flight: int,
    most_records: int,
    most_bytes: int,
    waiting: set[int],
) -> None:
    """Handlers that wait and handlers that do not, mixed; batches offered at any moment."""
    limits = {"in_flight": in_flight, "most_records": most_records, "most_bytes": most_bytes}
    observed = Observed(waits=lambda slot: slot.received.offset in waiting, **limits)
    todo = received(records)

    for choice in choices:
        kind, number = choice % 3, choice // 3
        if kind == 0 and todo:
            size = number % 7 + 1
            batch, todo = todo[:size], todo[size:]
            observed.window.offer(batch)
        elif kind == 1 and observed.running:
            observed.finish(observed.running[number % len(observed.running)])
        elif kind == 2 and observed.unconfirmed:
            observed.confirm(observed.unconfirmed[number % len(observed.unconfirmed)])
        check(observed, **limits)
    observed.window.offer(todo)
    observed.finish_all()

    assert sorted(observed.offsets()) == list(range(len(records)))
    assert observed.window.watermark == (len(records) or None)
    assert len(observed.window) == 0
    assert observed.window._lanes == {}
    assert observed.window._bytes == 0
    assert not observed.window.paused


@given(records=RECORDS, finished=st.integers(0, 20))
def test_a_shed_window_begins_nothing_more_and_its_watermark_stops_before_what_never_began(
    records: list[tuple[bytes | None, int]], finished: int
) -> None:
    observed = Observed(in_flight=2)
    observed.window.offer(received(records))
    for _ in range(finished):
        if observed.running:
            observed.finish(observed.running[0])
    begun = observed.offsets()

    observed.window.shed()
    observed.finish_all()

    assert observed.offsets() == begun
    assert not observed.window.busy
    never_begun = sorted(set(range(len(records))) - set(begun))
    expected = never_begun[0] if never_begun else len(records)
    assert (observed.window.watermark or 0) == expected


def test_other_keys_go_on_behind_a_busy_one() -> None:
    """A handler that never returns holds back its own key and the watermark, nothing else."""
    observed = Observed(in_flight=2, most_records=100, most_bytes=1000)
    keys = [b"busy", b"busy", *[b"%d" % number for number in range(20)]]

    observed.window.offer(received([(key, 1) for key in keys]))
    stuck = observed.running[0]
    while len(observed.running) > 1:
        observed.finish(observed.running[1])

    assert set(observed.offsets()) == {0, *range(2, 22)}
    assert observed.window.oldest is stuck
    assert observed.window.watermark is None


def test_what_is_complete_takes_no_room_behind_one_that_is_not() -> None:
    observed = Observed(in_flight=9, most_records=100, most_bytes=100)

    observed.window.offer([FakeReceived(number, key=None, value=b"x" * 40) for number in range(50)])
    while len(observed.running) > 1:
        slot = observed.running[1]
        observed.finish(slot)
        observed.confirm(slot)

    assert len(observed.begun) == 50
    assert [slot.received.value for slot in observed.begun] == [b"x" * 40, *[None] * 49]
    assert not observed.window.paused


def test_records_without_a_key_wait_for_nobody() -> None:
    observed = Observed(in_flight=8)

    observed.window.offer(received([(None, 1)] * 5))

    assert len(observed.running) == 5


def test_a_full_window_asks_for_a_pause_and_for_more_when_half_of_it_is_free() -> None:
    observed = Observed(in_flight=4, most_records=4)

    went = observed.window.offer(received([(None, 1)] * 6))

    assert not went
    assert observed.window.paused
    assert len(observed.window) == 6
    for slot in list(observed.running[:2]):
        observed.finish(slot)
        observed.confirm(slot)
    assert observed.resumed == 0
    slot = observed.running[0]
    observed.finish(slot)
    observed.confirm(slot)
    assert observed.resumed == 1
    assert not observed.window.paused


@pytest.mark.parametrize("size", [0, 99, 100, 5000])
def test_one_record_always_fits(size: int) -> None:
    """A record larger than the whole window is taken alone, not refused for ever."""
    observed = Observed(most_bytes=100)

    observed.window.offer([FakeReceived(0, value=b"x" * size), FakeReceived(1, value=b"x" * size)])
    observed.finish_all()

    assert observed.window.watermark == 2


def test_a_window_of_one_record_goes_on() -> None:
    observed = Observed(in_flight=1, most_records=1, most_bytes=1)

    observed.window.offer(received([(b"a", 1)] * 3))
    observed.finish_all()

    assert observed.window.watermark == 3


def test_an_unconfirmed_output_holds_the_watermark_for_ever() -> None:
    observed = Observed()
    observed.window.offer(received([(b"a", 1), (b"b", 1)]))
    first, second = observed.running
    observed.finish(first)
    observed.finish(second)

    observed.confirm(second)
    first.delivered("broken", None)

    assert observed.lost == ["broken"]
    assert observed.window.watermark is None


def test_dropping_forgets_everything_and_late_reports_change_nothing() -> None:
    observed = Observed(in_flight=1, most_records=2)
    observed.window.offer(received([(b"a", 1)] * 5))
    late = observed.running[0]

    observed.window.drop()
    late.delivered(None, None)

    assert len(observed.window) == 0
    assert observed.window.watermark is None
    assert observed.offsets() == [0]


def test_offsets_with_gaps_are_acknowledged_by_offset() -> None:
    """Compaction and transactions leave gaps."""
    observed = Observed()

    observed.window.offer([FakeReceived(7), FakeReceived(500)])
    observed.finish_all()

    assert observed.window.watermark == 501


def test_an_empty_batch_changes_nothing() -> None:
    observed = Observed()

    assert observed.window.offer([])

    assert observed.window.watermark is None
    assert observed.window.oldest is None
