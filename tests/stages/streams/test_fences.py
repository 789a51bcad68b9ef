"""A worker that may have lost its partitions begins nothing and sends nothing; late writes of such a one are left out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from schemas.records import CircuitState, TextQuery
from schemas.registry import LockedIds
from streams.emit import Emit
from streams.lease import Lease
from streams.settings import KafkaSettings
from streams.views import View
from tests.given import NOON, a_request
from tests.stages.streams.bench import CIRCUITS, REQUESTS, TP, Bench, a_bench, payloads

SESSION_S = 6.0


class Seconds:
    """A clock in seconds."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


async def a_member(**engine: Any) -> tuple[Bench, Seconds]:  # noqa: ANN401 - settings of the engine
    """Return a bench in a group that has just confirmed a heartbeat."""
    bench, now = await a_bench(**engine), Seconds()
    bench.engine.lease = Lease(SESSION_S, now)
    bench.engine.lease.confirm(now.at)
    return bench, now


@pytest.mark.parametrize("waits", [False, True])
async def test_nothing_begins_after_the_session_and_everything_once_the_group_confirms_again(waits: bool) -> None:
    bench, now = await a_member()
    begun: list[str] = []

    def at_once(record: TextQuery, emit: Emit) -> None:
        begun.append(record.query)

    async def waiting(record: TextQuery, emit: Emit) -> None:
        begun.append(record.query)

    bench.stage(waiting if waits else at_once)
    now.at += SESSION_S

    await bench.put(bench.text(0, "a", key=b"k"), bench.text(1, "b", key=b"k"))
    frozen = list(begun)
    bench.engine.lease.confirm(now.at)
    await bench.until(lambda: bench.watermark() == 2)

    assert frozen == []
    assert begun == ["a", "b"]


async def test_what_a_handler_made_while_the_session_ended_is_held_back_and_dropped_with_the_partition() -> None:
    bench, now = await a_member()

    async def handler(record: TextQuery, emit: Emit) -> None:
        emit(REQUESTS, a_request(record.query, origin=record.origin))
        now.at += SESSION_S

    bench.stage(handler)

    await bench.put(bench.text(0, "a"))
    held = payloads(bench.sent(REQUESTS))
    bench.engine.drop([TP])
    bench.engine.lease.confirm(now.at)
    await bench.idle()

    assert held == payloads(bench.sent(REQUESTS)) == []
    assert bench.watermark() is None


async def test_a_view_leaves_out_a_value_that_goes_back() -> None:
    ids = LockedIds()
    await ids.start({"circuits-value": CircuitState})
    bench = await a_bench()
    serde = bench.engine.serde(CIRCUITS)
    view = View(CIRCUITS, serde, KafkaSettings())

    for failures, offset in ((4, 7), (2, 5), (5, 8)):
        state = replace(a_state("model", {"outcomes-0": offset}), failures=failures)
        view.apply(b"model", serde.encode(state))
        if failures == 2:
            assert view["model"].failures == 4

    assert view["model"].failures == 5


def a_state(key: str, counted: Mapping[str, int]) -> CircuitState:
    return CircuitState(dependency=key, as_of=NOON, counted=counted)
