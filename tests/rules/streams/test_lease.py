"""A lease on partitions, and values that go back."""

from streams.counted import goes_back
from streams.lease import Lease, elapsed_s


class Seconds:
    """A clock in seconds."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_a_unit_without_a_group_holds_its_lease_for_ever() -> None:
    lease = Lease(6.0)

    assert lease.held
    assert lease.silence_s == 0.0


def test_a_lease_ends_a_session_after_the_sending_of_the_last_confirmed_sign_of_life() -> None:
    """The answer may have lain unread for as long as the process was frozen: only the sending counts."""
    now = Seconds()
    lease = Lease(6.0, now)
    held = []

    lease.confirm(sent_at=99.0)
    for at in (100.0, 104.9, 105.0):
        now.at = at
        held.append(lease.held)
    silence_s = lease.silence_s
    lease.confirm(sent_at=105.0)
    held.append(lease.held)

    assert held == [True, True, False, True]
    assert silence_s == 6.0


def test_elapsed_seconds_go_forward() -> None:
    assert elapsed_s() <= elapsed_s()


def test_a_value_goes_back_when_it_has_counted_less_of_any_source() -> None:
    assert not goes_back({"a-0": 5}, {})
    assert not goes_back({"a-0": 5}, {"a-0": 5})
    assert not goes_back({"a-0": 6, "b-0": 1}, {"a-0": 5})
    assert goes_back({"a-0": 4}, {"a-0": 5})
    assert goes_back({"a-0": 9}, {"a-0": 5, "b-0": 0})
    assert goes_back({}, {"a-0": 0})
