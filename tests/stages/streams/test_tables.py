"""Owned tables: a record counts once, however often it is read."""

from dataclasses import replace
from typing import Any, cast

import pytest

from schemas.records import CircuitState, TextQuery
from streams.emit import Emit
from streams.errors import ProviderUnavailable
from streams.lanes import TopicPartition
from streams.partitions import partition
from streams.tables import OwnedTable
from tests.fakes.received import FakeReceived
from tests.given import NOON
from tests.stages.streams.bench import CIRCUITS, TP, Bench, a_bench


def closed(key: str) -> CircuitState:
    return CircuitState(dependency=key, as_of=NOON, counted={})


def failed(state: CircuitState) -> CircuitState:
    return replace(state, failures=state.failures + 1)


def a_table(bench: Bench) -> tuple[OwnedTable[CircuitState], dict[bytes, bytes]]:
    stored: dict[bytes, bytes] = {}
    return OwnedTable(cast("Any", stored), bench.engine.serde(CIRCUITS), closed), stored


async def test_a_record_that_is_read_again_changes_nothing() -> None:
    bench = await a_bench()
    table, _ = a_table(bench)
    seen: list[int] = []

    def handler(record: TextQuery, emit: Emit) -> None:
        seen.append(table.update("model", failed).failures)

    bench.stage(handler)
    await bench.put(bench.text(0), bench.text(1))

    bench.engine.drop([TP])
    await bench.put(bench.text(1), bench.text(2))

    assert seen == [1, 2, 2, 3]
    found = table.get("model")
    assert found is not None
    assert found.counted == {"texts-0": 2}


async def test_a_try_that_fails_after_its_update_counts_once() -> None:
    bench = await a_bench()
    table, _ = a_table(bench)
    seen: list[int] = []

    def handler(record: TextQuery, emit: Emit) -> None:
        seen.append(table.update("model", failed).failures)
        if len(seen) < 3:
            raise ProviderUnavailable("busy")

    bench.stage(handler)

    await bench.put(bench.text(0))

    assert seen == [1, 1, 1]


async def test_partitions_are_counted_apart() -> None:
    bench = await a_bench()
    table, _ = a_table(bench)

    def handler(record: TextQuery, emit: Emit) -> None:
        table.update("model", failed)

    bench.stage(handler)
    text = bench.text(0)

    await bench.put(text)
    await bench.put(FakeReceived(0, text.value, text.key, partition=1))

    found = table.get("model")
    assert found is not None
    assert (found.failures, found.counted) == (2, {"texts-0": 0, "texts-1": 0})
    assert bench.watermark(TopicPartition("texts", 1)) == 1


async def test_a_change_that_fails_leaves_the_old_value() -> None:
    bench = await a_bench()
    table, stored = a_table(bench)

    def handler(record: TextQuery, emit: Emit) -> None:
        table.update("model", lambda state: replace(state, failures=cast("int", "many")))

    bench.stage(handler)

    await bench.put(bench.text(0))

    assert not stored
    assert bench.producer.to("dead-letters")[0].header("forgestream.error-code") == "record_invalid"


async def test_nobody_writes_a_table_outside_of_a_stage() -> None:
    table, _ = a_table(await a_bench())

    with pytest.raises(RuntimeError, match="stage"):
        table.update("model", failed)

    assert table.get("model") is None
    assert list(table.items()) == []


async def test_rows_that_are_over_are_forgotten_one_look_at_a_time_each_by_its_own_partition() -> None:
    bench = await a_bench()
    table, stored = a_table(bench)
    rows = [f"model-{number}" for number in range(20)]
    here = {row for row in rows if partition(row.encode(), 2) == 0}
    looks: list[int] = []

    def handler(record: TextQuery, emit: Emit) -> None:
        if not looks:
            for row in rows:
                table.update(row, failed)
        before = len(stored)
        table.sweep(lambda state: state.failures == 1, 2)
        looks.append(before - len(stored))

    bench.stage(handler)

    await bench.put(*(bench.text(number) for number in range(25)))

    assert max(looks) == 1
    assert {key.decode() for key in stored} == set(rows) - here
