from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from streams.lanes import Received, Slot, Window
from streams.scope import Scope, current
from tests.given import NOON, an_origin
from topology.replay.clock import EventClock


@dataclass(frozen=True, kw_only=True)
class Written:
    timestamp: int
    value: bytes = b""
    key: bytes = b""


def handling(at: datetime, request_id: str | None) -> Scope:
    received = cast("Received", Written(timestamp=int(at.timestamp() * 1000)))
    scope = Scope("route", Slot(cast("Window", None), received))
    scope.origin = an_origin(request_id) if request_id else None
    return scope


@pytest.fixture(autouse=True)
def nothing_is_handled() -> Iterator[None]:
    token = current.set(None)
    yield
    current.reset(token)


def test_it_is_the_time_at_which_the_record_being_handled_was_written() -> None:
    clock = EventClock()

    current.set(handling(NOON, None))
    then = clock.now()
    current.set(handling(NOON - timedelta(days=30), "request-1"))

    assert (then, clock.now()) == (NOON, NOON - timedelta(days=30))


def test_a_call_takes_time_for_its_own_request_only() -> None:
    clock = EventClock()
    clock.spend("request-1", 250.0)
    clock.spend("request-1", 500.5)

    current.set(handling(NOON, "request-1"))
    mine = clock.now()
    current.set(handling(NOON, "request-2"))

    assert (mine, clock.now()) == (NOON + timedelta(milliseconds=750.5), NOON)


def test_time_never_runs_back_and_a_request_that_ended_is_forgotten() -> None:
    clock = EventClock()
    clock.spend("request-1", -5.0)
    current.set(handling(NOON, "request-1"))
    before = clock.now()
    clock.spend("request-1", 1000.0)
    clock.forget("request-1")
    clock.forget("never seen")

    assert (before, clock.now()) == (NOON, NOON)


def test_outside_of_any_record_it_is_the_present() -> None:
    assert abs(EventClock().now() - datetime.now(UTC)) < timedelta(minutes=1)
