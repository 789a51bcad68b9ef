"""Order, backpressure, draining and dropping with real handlers."""

import asyncio
import random
from collections import defaultdict

import pytest

from schemas.records import Origin, Result, Status, TextQuery
from streams.emit import Emit
from streams.errors import ProviderUnavailable
from streams.producer import Headers, OnDelivery
from tests.fakes.producer import MemoryProducer
from tests.given import a_request
from tests.stages.streams.bench import REQUESTS, RESULTS, TP, Bench, a_bench, payloads


class Gates:
    """A handler that waits for the test; it notes what has begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.cancelled: list[str] = []
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, record: TextQuery, emit: Emit) -> None:
        self.begun.append(record.query)
        try:
            await self._gates[record.query].wait()
        except asyncio.CancelledError:
            self.cancelled.append(record.query)
            raise
        self.ended.append(record.query)
        emit(REQUESTS, a_request(record.query, origin=record.origin))

    def open(self, *queries: str) -> None:
        for query in queries:
            self._gates[query].set()


class BrokenProducer(MemoryProducer):
    """Raises for some topics."""

    def __init__(self, broken: set[str]) -> None:
        super().__init__()
        self._broken = broken

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        on_delivery: OnDelivery,
        headers: Headers,
        timestamp_ms: int = 0,
        partition: int = -1,
        awaited: bool = False,
    ) -> None:
        if topic in self._broken:
            raise TypeError(" or ".join(sorted(self._broken, reverse=True)))
        super().produce(
            topic,
            value,
            key,
            on_delivery=on_delivery,
            headers=headers,
            timestamp_ms=timestamp_ms,
            partition=partition,
            awaited=awaited,
        )


def a_result(origin: Origin) -> Result:
    return Result(origin=origin, result_id="r", status=Status.OK)


async def a_gated_bench(*, in_flight: int = 8, confirms: bool = True) -> tuple[Bench, Gates]:
    bench, gates = await a_bench(confirms=confirms), Gates()
    bench.stage(gates, waits=True, in_flight=in_flight)
    return bench, gates


async def test_records_of_one_key_are_handled_one_after_the_other() -> None:
    bench, gates = await a_gated_bench()

    await bench.put(bench.text(0, "a", key=b"k"), bench.text(1, "b", key=b"k"), bench.text(2, "c", key=b"other"))
    before = list(gates.begun)
    gates.open("a")
    await bench.idle()

    assert before == ["a", "c"]
    assert gates.begun == ["a", "c", "b"]


async def test_a_record_being_tried_again_holds_back_its_key_only() -> None:
    bench = await a_bench()
    handled: list[str] = []
    failures = iter(range(3))

    def handler(record: TextQuery, emit: Emit) -> None:
        if record.query == "a" and next(failures, None) is not None:
            raise ProviderUnavailable("busy")
        handled.append(record.query)

    bench.stage(handler)

    await bench.put(bench.text(0, "a", key=b"k"), bench.text(1, "b", key=b"k"), bench.text(2, "c", key=b"other"))

    assert handled == ["c", "a", "b"]
    assert bench.watermark() == 3


async def test_no_more_handlers_wait_at_once_than_allowed() -> None:
    bench, gates = await a_gated_bench(in_flight=3)

    await bench.put(*(bench.text(number, str(number)) for number in range(10)))
    before = list(gates.begun)
    gates.open(*map(str, range(10)))
    await bench.idle()

    assert before == ["0", "1", "2"]
    assert sorted(gates.ended) == [str(number) for number in range(10)]
    assert bench.watermark() == 10


async def test_a_full_partition_is_paused_and_resumed_and_loses_nothing() -> None:
    bench, gates = await a_gated_bench(in_flight=1)
    texts = [bench.text(number, str(number)) for number in range(40)]

    await bench.put(*texts[:20])
    paused = list(bench.flow)
    await bench.put(*texts[20:])
    gates.open(*map(str, range(40)))
    for _ in range(5):
        await bench.idle()

    assert paused == [("pause", TP)]
    assert bench.flow[-1] == ("resume", TP)
    assert gates.ended == [str(number) for number in range(40)]
    assert bench.watermark() == 40


@pytest.mark.parametrize("seed", range(5))
async def test_random_waits_never_change_the_order_of_a_key(seed: int) -> None:
    bench, chance = await a_bench(), random.Random(seed)
    ended: defaultdict[bytes, list[int]] = defaultdict(list)
    tries: defaultdict[int, int] = defaultdict(int)

    async def handler(record: TextQuery, emit: Emit) -> None:
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        number = int(record.query)
        tries[number] += 1
        if tries[number] == 1 and chance.random() < 0.2:
            raise ProviderUnavailable("busy")
        ended[b"%d" % (number % 5)].append(number)

    bench.stage(handler, in_flight=4)

    await bench.put(*(bench.text(number, str(number), key=b"%d" % (number % 5)) for number in range(200)))
    await bench.until(lambda: bench.watermark() == 200)

    assert all(numbers == sorted(numbers) for numbers in ended.values())
    assert sum(map(len, ended.values())) == 200


async def test_draining_finishes_what_runs_and_begins_nothing_more() -> None:
    bench, gates = await a_gated_bench(in_flight=1)
    await bench.put(bench.text(0, "a"), bench.text(1, "b"))

    draining = asyncio.create_task(bench.engine.drain(5.0))
    await bench.idle()
    took = bench.engine.take(TP, [bench.text(2, "c")])
    gates.open("a", "b", "c")

    assert await draining
    assert not took
    assert gates.begun == ["a"]
    assert bench.watermark() == 1
    assert payloads(bench.sent(REQUESTS)) == ["a"]


async def test_draining_waits_for_confirmations() -> None:
    bench, gates = await a_gated_bench(confirms=False)
    gates.open("a")
    await bench.put(bench.text(0, "a"))

    draining = asyncio.create_task(bench.engine.drain(5.0))
    await bench.idle()
    done_before = draining.done()
    bench.producer.confirm()

    assert await draining
    assert not done_before
    assert bench.watermark() == 1


async def test_a_drain_over_its_budget_says_so_and_nothing_unfinished_is_acknowledged() -> None:
    bench, gates = await a_gated_bench()
    gates.open("b")
    await bench.put(bench.text(0, "a"), bench.text(1, "b"))

    assert not await bench.engine.drain(0.0)
    bench.engine.drop_all()
    await bench.idle()

    assert gates.cancelled == ["a"]
    assert bench.watermark() is None
    assert not bench.fatal


async def test_an_empty_engine_is_drained_at_once() -> None:
    bench, _ = await a_gated_bench()

    assert await bench.engine.drain(0.0)


async def test_after_a_drain_records_are_taken_again() -> None:
    bench, gates = await a_gated_bench()
    gates.open("a")
    await bench.engine.drain(0.0)
    bench.engine.drop_all()

    bench.engine.resume_taking()
    await bench.put(bench.text(5, "a"))

    assert bench.watermark() == 6


async def test_dropping_cancels_and_late_confirmations_change_nothing() -> None:
    bench, gates = await a_gated_bench(in_flight=2, confirms=False)
    gates.open("done")
    await bench.put(*(bench.text(number, query) for number, query in enumerate(["done", "a", "b", "c"])))

    bench.engine.drop([TP])
    await bench.idle()
    bench.producer.confirm()
    gates.open("a", "b", "c")
    await bench.idle()

    assert gates.cancelled == ["a", "b"]
    assert "c" not in gates.begun
    assert bench.engine.watermarks() == {}
    assert payloads(bench.sent(REQUESTS)) == ["done"]


async def test_a_lost_output_of_a_dropped_record_stops_nobody() -> None:
    bench, gates = await a_gated_bench(confirms=False)
    gates.open("a")
    await bench.put(bench.text(0, "a"))

    bench.engine.drop([TP])
    bench.producer.lose("gone")

    assert not bench.fatal


async def test_records_read_again_after_a_drop_are_handled_again() -> None:
    bench, gates = await a_gated_bench()
    await bench.put(bench.text(0, "a"))
    bench.engine.drop([TP])
    await bench.idle()

    gates.open("a")
    await bench.put(bench.text(0, "a"))

    assert gates.ended == ["a"]
    assert bench.watermark() == 1


async def test_partitions_do_not_wait_for_each_other() -> None:
    bench, gates = await a_gated_bench(in_flight=1)
    gates.open("fast")
    slow, fast = bench.text(0, "slow"), bench.text(0, "fast")
    other = type(fast)(0, fast.value, fast.key, partition=1)

    await bench.put(slow)
    await bench.put(other)

    assert gates.ended == ["fast"]
    assert bench.engine.held() == {TP: 1}


async def test_a_dead_letter_that_cannot_be_sent_stops_the_worker() -> None:
    """A record must never be stuck in silence."""
    bench = await a_bench(producer=BrokenProducer({"requests", "dead-letters"}))

    async def handler(record: TextQuery, emit: Emit) -> None:
        emit(REQUESTS, a_request(origin=record.origin))

    bench.stage(handler)

    await bench.put(bench.text())

    assert [str(error) for error in bench.fatal] == ["requests or dead-letters"]
    assert bench.watermark() is None


@pytest.mark.parametrize("waits", [True, False])
async def test_an_output_the_producer_refuses_to_take_does_not_hold_the_watermark(waits: bool) -> None:
    bench = await a_bench(producer=BrokenProducer({"requests"}))

    def handler(record: TextQuery, emit: Emit) -> None:
        emit(RESULTS, a_result(record.origin))
        emit(REQUESTS, a_request(origin=record.origin))
        emit(RESULTS, a_result(record.origin))

    bench.stage(handler, waits=waits)

    await bench.put(bench.text())

    assert len(bench.producer.to("dead-letters")) == 1
    assert bench.watermark() == 1


async def test_a_hundred_failing_requests_each_end_once() -> None:
    bench = await a_bench()

    async def handler(record: TextQuery, emit: Emit) -> None:
        await asyncio.sleep(0)
        raise LookupError(record.query)

    bench.stage(handler)

    await bench.put(*(bench.text(number) for number in range(100)))
    await bench.until(lambda: bench.watermark() == 100)

    results = bench.sent(RESULTS)
    assert len({result.origin.request_id for result in results}) == len(results) == 100
    assert {result.status for result in results} == {Status.FAILED}


@pytest.mark.parametrize("waits", [False, True])
async def test_a_lack_of_memory_ends_the_worker_and_is_no_fault_of_the_record(waits: bool) -> None:
    """The record is not acknowledged and has no dead letter: a worker with memory reads it again."""
    bench = await a_bench()

    def at_once(record: TextQuery, emit: Emit) -> None:
        raise MemoryError

    async def waiting(record: TextQuery, emit: Emit) -> None:
        raise MemoryError

    bench.stage(waiting if waits else at_once)

    await bench.put(bench.text())
    await bench.until(lambda: bench.fatal)

    assert [type(error) for error in bench.fatal] == [MemoryError]
    assert bench.producer.sent == []
    assert bench.watermark() is None
