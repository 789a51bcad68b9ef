"""What the guard and the engine do with a record, whatever its handler does."""

import asyncio
import logging
import struct
from datetime import timedelta

import pytest

from docs.generate import record_fate
from schemas.codec import SchemaUnknown
from schemas.records import RateLimit, Status, TextQuery
from streams.emit import Emit
from streams.errors import (
    AnswerPending,
    DeadlineExceeded,
    DeliveryFailed,
    InjectionSuspected,
    Permanent,
    PipelineError,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
    RequestInvalid,
    SchemaNotLoaded,
    Transient,
)
from streams.lanes import TopicPartition
from streams.retry import FOR_EVER
from tests.fakes.received import FakeReceived
from tests.given import NOON, a_request, an_origin
from tests.stages.streams.bench import DEAD_LETTERS, KNOWLEDGE, REQUESTS, RESULTS, TEXTS, TP, a_bench, payloads


def bench_query() -> TextQuery:
    return TextQuery(origin=an_origin(), query="?")


def an_error(kind: type[PipelineError]) -> PipelineError:
    """Return one; some are made of more than a message."""
    if issubclass(kind, RequestInvalid):
        return kind(["one", "two"])
    if issubclass(kind, RateLimited):
        limit = RateLimit(name="tenant requests", limit=1, remaining=0, reset_at=NOON)
        return kind([limit], limit)
    if issubclass(kind, InjectionSuspected):
        return kind(0.9, ["rule"], "1")
    return kind("why")


def kinds_of(kind: type[PipelineError]) -> list[type[PipelineError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in kinds_of(child))]


# one that is fetched and not tried: tests of schemas say what becomes of it
RECORD_ERRORS = [
    kind for root in (Transient, Permanent, DeadlineExceeded) for kind in kinds_of(root) if kind is not SchemaNotLoaded
]


def copied(record: TextQuery, emit: Emit) -> None:
    emit(REQUESTS, a_request(record.query, origin=record.origin))


async def copied_later(record: TextQuery, emit: Emit) -> None:
    emit(REQUESTS, a_request(record.query, origin=record.origin))
    await asyncio.sleep(0)


BOTH = pytest.mark.parametrize("handler", [copied, copied_later])


@BOTH
async def test_a_record_is_handled_sent_and_acknowledged(handler: object) -> None:
    bench = await a_bench()
    bench.stage(handler)  # type: ignore[arg-type]

    await bench.put(bench.text(0, "a"), bench.text(1, "b"))

    assert payloads(bench.sent(REQUESTS)) == ["a", "b"]
    assert bench.watermark() == 2
    assert bench.engine.counts()["stage"].handled == 2
    assert not bench.fatal


@BOTH
async def test_nothing_is_acknowledged_before_the_broker_has_confirmed_the_outputs(handler: object) -> None:
    bench = await a_bench(confirms=False)
    bench.stage(handler)  # type: ignore[arg-type]

    await bench.put(bench.text(0), bench.text(1))
    before = bench.watermark()
    bench.producer.confirm()

    assert before is None
    assert bench.watermark() == 2


async def test_outputs_keep_key_event_time_stage_and_trace() -> None:
    bench = await a_bench()
    bench.stage(copied)
    plain = bench.text(0, session_id="s-1")
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = FakeReceived(1, plain.value, plain.key, headers=[("traceparent", parent), ("other", b"x")])

    await bench.put(plain, traced)

    first, second = bench.producer.to("requests")
    assert first.key == b"default#s-1"
    assert first.timestamp_ms == plain.timestamp
    assert first.header("forgestream-stage") == "stage"
    assert (first.header("traceparent") or "").startswith("00-000000000000700080000000")
    assert second.header("traceparent") == parent.decode()
    assert second.header("other") is None


async def test_a_failing_attempt_sends_nothing_but_what_was_sent_at_once() -> None:
    bench = await a_bench()
    attempts = 0

    async def handler(record: TextQuery, emit: Emit) -> None:
        nonlocal attempts
        attempts += 1
        emit(REQUESTS, a_request(f"held {attempts}", origin=record.origin))
        emit.now(REQUESTS, a_request(f"now {attempts}", origin=record.origin))
        await asyncio.sleep(0)
        if attempts == 1:
            raise ProviderUnavailable("busy")

    bench.stage(handler)

    await bench.put(bench.text())

    assert payloads(bench.sent(REQUESTS)) == ["now 1", "now 2", "held 2"]
    assert bench.watermark() == 1


async def test_emits_are_held_until_the_handler_returns() -> None:
    bench = await a_bench()
    go_on = asyncio.Event()

    async def handler(record: TextQuery, emit: Emit) -> None:
        emit(REQUESTS, a_request("held", origin=record.origin))
        emit.now(REQUESTS, a_request("now", origin=record.origin))
        await go_on.wait()

    bench.stage(handler)

    await bench.put(bench.text())
    before = payloads(bench.sent(REQUESTS))
    go_on.set()
    await bench.idle()

    assert before == ["now"]
    assert payloads(bench.sent(REQUESTS)) == ["now", "held"]


@pytest.mark.parametrize("waits", [True, False])
async def test_a_transient_error_is_tried_again_with_growing_pauses(waits: bool) -> None:
    bench = await a_bench(retry_initial_s=0.2, retry_max_s=0.5, retry_attempts=5)
    attempts = 0

    def handler(record: TextQuery, emit: Emit) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 5:
            raise ProviderUnavailable("busy")
        copied(record, emit)

    bench.stage(handler, waits=waits)

    await bench.put(bench.text())

    assert bench.pauses == [0.2, 0.4, 0.5, 0.5]
    assert payloads(bench.sent(REQUESTS)) == ["why?"]
    assert bench.engine.counts()["stage"].retried == 4
    assert not bench.producer.to("dead-letters")
    assert bench.watermark() == 1


async def test_the_other_sides_wish_is_honoured_up_to_the_longest_pause() -> None:
    bench = await a_bench(retry_max_s=5)
    wishes = iter([3.0, 1000.0])

    def handler(record: TextQuery, emit: Emit) -> None:
        wish = next(wishes, None)
        if wish is not None:
            raise ProviderUnavailable("busy", retry_after_s=wish)

    bench.stage(handler)

    await bench.put(bench.text())

    assert bench.pauses == [3.0, 5.0]


async def test_tries_that_run_out_leave_a_dead_letter_and_a_failed_result() -> None:
    bench = await a_bench(retry_attempts=3)

    def handler(record: TextQuery, emit: Emit) -> None:
        raise ProviderUnavailable("still busy")

    bench.stage(handler)

    await bench.put(bench.text())

    (letter,) = bench.producer.to("dead-letters")
    assert letter.header("forgestream.attempts") == "3"
    assert letter.header("forgestream.error-code") == "provider_unavailable"
    (result,) = bench.sent(RESULTS)
    assert result.status is Status.FAILED
    assert bench.watermark() == 1


async def test_a_patient_stage_never_gives_up_on_a_transient_error() -> None:
    bench = await a_bench(retry_attempts=1)
    attempts = 0

    def handler(record: object, emit: Emit) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 20:
            raise ProviderUnavailable("busy")

    bench.stage(handler, reads=REQUESTS, patience_s=FOR_EVER)
    received = FakeReceived(0, bench.encoded(REQUESTS, a_request()), topic="requests")

    await bench.put(received)

    assert attempts == 20
    assert not bench.producer.sent


async def test_patience_ends_with_a_dead_letter_and_the_partition_goes_on() -> None:
    """However often that is: the usual number of tries is too few for what comes late, and for ever too many."""
    bench = await a_bench(retry_attempts=2, retry_initial_s=4, retry_max_s=4)

    def handler(record: TextQuery, emit: Emit) -> None:
        raise AnswerPending("not there yet")

    bench.stage(handler, reads=REQUESTS, patience_s=20.0)

    await bench.put(FakeReceived(0, bench.encoded(REQUESTS, a_request()), topic="requests"))

    (letter,) = bench.producer.to("dead-letters")
    assert letter.header("forgestream.error-code") == "answer_pending"
    assert sum(bench.pauses) == 20.0
    assert bench.watermark(TopicPartition("requests", 0)) == 1


async def test_a_schema_that_is_met_after_many_tries_is_still_asked_for() -> None:
    bench = await a_bench(retry_attempts=1)
    tries = 0

    def handler(record: object, emit: Emit) -> None:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise AnswerPending("not there yet")
        if tries == 5:
            raise SchemaUnknown(next(iter(bench.ids.remote)))

    bench.ids.forget(struct.unpack(">I", bench.encoded(TEXTS, bench_query())[1:5])[0])
    bench.stage(handler, reads=REQUESTS, patience_s=60.0)

    await bench.put(FakeReceived(0, bench.encoded(REQUESTS, a_request()), topic="requests"))

    assert (tries, len(bench.ids.fetched)) == (6, 1)
    assert not bench.producer.sent


@pytest.mark.parametrize("kind", RECORD_ERRORS, ids=lambda kind: kind.code)
async def test_what_becomes_of_a_record_is_what_the_page_of_errors_says(kind: type[PipelineError]) -> None:
    """The class of the error decides; docs/errors.md reads the same class."""
    bench = await a_bench(retry_attempts=2)

    def handler(record: TextQuery, emit: Emit) -> None:
        raise an_error(kind)

    bench.stage(handler)

    await bench.put(bench.text())

    said = record_fate(kind)
    (result,) = bench.sent(RESULTS)
    letters = bench.producer.to("dead-letters")
    assert f"terminal result `{result.status}`" in said
    assert ("no dead letter" in said) == (not letters)
    assert ("dead letter" in said.replace("no dead letter", "")) == bool(letters)
    assert ("tried again" in said) == bool(bench.pauses)


async def test_no_pause_outlives_the_deadline() -> None:
    bench = await a_bench(retry_initial_s=4, retry_max_s=4, retry_attempts=100)

    def handler(record: TextQuery, emit: Emit) -> None:
        raise ProviderUnavailable("busy")

    bench.stage(handler)

    await bench.put(bench.text(seconds=10))

    assert bench.pauses == [4, 4]
    assert [result.status for result in bench.sent(RESULTS)] == [Status.FAILED]


@pytest.mark.parametrize("waits", [True, False])
async def test_a_permanent_error_is_a_dead_letter_at_once_with_the_original_bytes(waits: bool) -> None:
    bench = await a_bench()

    def handler(record: TextQuery, emit: Emit) -> None:
        emit(REQUESTS, a_request("never", origin=record.origin))
        raise ProviderRefused("wrong key")

    bench.stage(handler, waits=waits)
    text = bench.text(7)
    received = FakeReceived(7, text.value, text.key, headers=[("mine", b"\xff\x00"), ("mine", b"2")])

    await bench.put(received)

    (letter,) = bench.producer.to("dead-letters")
    assert (letter.value, letter.key, letter.timestamp_ms) == (received.value, received.key, received.timestamp)
    assert list(letter.headers)[:2] == [("mine", b"\xff\x00"), ("mine", b"2")]
    assert letter.header("__streams.errors.exception") == "ProviderRefused"
    assert letter.header("__streams.errors.message") == "wrong key"
    assert letter.header("__streams.errors.topic") == "texts"
    assert letter.header("__streams.errors.partition") == "0"
    assert letter.header("__streams.errors.offset") == "7"
    assert "ProviderRefused" in (letter.header("__streams.errors.stacktrace") or "")
    assert letter.header("forgestream.stage") == "stage"
    assert letter.header("forgestream.first-failed-at") == NOON.isoformat()
    assert not bench.pauses
    assert not bench.sent(REQUESTS)
    assert bench.watermark() == 8


async def test_a_request_with_problems_is_rejected_with_each_of_them_and_is_no_dead_letter() -> None:
    bench = await a_bench()

    def handler(record: TextQuery, emit: Emit) -> None:
        raise RequestInvalid(["query is empty", "domain \ud800 is unknown"])

    bench.stage(handler)

    await bench.put(bench.text())

    (result,) = bench.sent(RESULTS)
    assert result.status is Status.REJECTED
    assert [error.message for error in result.errors] == ["query is empty", "domain ? is unknown"]
    assert not bench.producer.to("dead-letters")
    assert bench.engine.counts()["stage"].rejected == 1
    assert bench.watermark() == 1


async def test_an_expired_request_is_not_handled() -> None:
    bench = await a_bench()
    bench.stage(copied)
    bench.clock.advance(60)

    await bench.put(bench.text(seconds=60))

    assert [result.status for result in bench.sent(RESULTS)] == [Status.EXPIRED]
    assert not bench.sent(REQUESTS)
    assert not bench.producer.to("dead-letters")
    assert bench.watermark() == 1


async def test_a_handler_is_stopped_at_the_deadline() -> None:
    bench = await a_bench()
    stopped = []

    async def handler(record: TextQuery, emit: Emit) -> None:
        emit(REQUESTS, a_request(origin=record.origin))
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            stopped.append(record.query)

    bench.stage(handler)
    bench.clock.at = NOON + timedelta(seconds=59.999)

    await bench.put(bench.text())
    await bench.until(lambda: stopped)
    await bench.idle()

    assert [result.status for result in bench.sent(RESULTS)] == [Status.EXPIRED]
    assert not bench.sent(REQUESTS)
    assert bench.watermark() == 1


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize(
    "bug", [KeyError("x"), TimeoutError("own"), ExceptionGroup("g", [ValueError()]), ValueError("\ud800")]
)
async def test_a_bug_in_a_handler_is_a_dead_letter_with_its_stack(
    bug: Exception, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "forgestream.guard")  # pytest-xdist cannot send half a surrogate pair
    bench = await a_bench()

    def broken(record: TextQuery, emit: Emit) -> None:
        raise bug

    bench.stage(broken, waits=waits)

    await bench.put(bench.text(0), bench.text(1))

    first, _ = bench.producer.to("dead-letters")
    assert first.header("forgestream.error-code") == "handler_failed"
    assert first.header("__streams.errors.exception") == type(bug).__name__
    assert "in broken" in (first.header("__streams.errors.stacktrace") or "")
    assert [result.status for result in bench.sent(RESULTS)] == [Status.FAILED, Status.FAILED]
    assert bench.watermark() == 2


async def test_a_future_cancelled_by_somebody_else_does_not_leave_the_record_stuck() -> None:
    bench = await a_bench()

    async def handler(record: TextQuery, emit: Emit) -> None:
        shared: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        shared.cancel()
        await shared

    bench.stage(handler)

    await bench.put(bench.text())

    (letter,) = bench.producer.to("dead-letters")
    assert letter.header("__streams.errors.exception") == "CancelledError"
    assert bench.watermark() == 1


async def test_an_output_larger_than_its_topic_allows_is_a_dead_letter() -> None:
    bench = await a_bench()

    def handler(record: TextQuery, emit: Emit) -> None:
        emit(REQUESTS, a_request("x" * 2_000_000, origin=record.origin))

    bench.stage(handler)

    await bench.put(bench.text())

    (letter,) = bench.producer.to("dead-letters")
    assert letter.header("forgestream.error-code") == "record_invalid"
    assert "2,000," in (letter.header("__streams.errors.message") or "")
    assert not bench.sent(REQUESTS)
    assert not bench.fatal


async def test_an_output_that_cannot_be_encoded_is_a_dead_letter() -> None:
    bench = await a_bench()

    def handler(record: TextQuery, emit: Emit) -> None:
        emit(REQUESTS, a_request("half a pair: \ud800", origin=record.origin))

    bench.stage(handler)

    await bench.put(bench.text())

    assert bench.producer.to("dead-letters")[0].header("forgestream.error-code") == "record_invalid"


@BOTH
async def test_an_output_the_broker_does_not_confirm_stops_the_worker_and_is_never_acknowledged(
    handler: object,
) -> None:
    bench = await a_bench(confirms=False)
    bench.stage(handler)  # type: ignore[arg-type]
    await bench.put(bench.text(0), bench.text(1))

    bench.producer.lose("broker gone")
    bench.producer.confirm()

    (error,) = bench.fatal
    assert isinstance(error, DeliveryFailed)
    assert "texts-0@0" in str(error)
    assert bench.watermark() is None


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\x00\x00\x00\x01", b"{}", b"\xff" * 100, b"\x00" * 100])
@pytest.mark.parametrize("waits", [True, False])
async def test_damaged_bytes_are_a_dead_letter_and_the_next_record_is_handled(value: bytes, waits: bool) -> None:
    bench = await a_bench()
    bench.stage(copied, waits=waits)

    await bench.put(FakeReceived(0, value), bench.text(1, "next"))

    (letter,) = bench.producer.to("dead-letters")
    assert letter.value == value
    assert payloads(bench.sent(REQUESTS)) == ["next"]
    assert bench.watermark() == 2


@pytest.mark.parametrize("waits", [True, False])
async def test_a_record_whose_end_is_damaged_still_ends_its_request(waits: bool) -> None:
    bench = await a_bench()
    bench.stage(copied, waits=waits)
    whole = bench.text(0, request_id="r-1")

    await bench.put(FakeReceived(0, (whole.value or b"")[:-3]))

    assert [(result.origin.request_id, result.status) for result in bench.sent(RESULTS)] == [("r-1", Status.FAILED)]
    assert len(bench.producer.to("dead-letters")) == 1


@pytest.mark.parametrize("waits", [True, False])
async def test_an_unknown_schema_is_fetched_and_the_record_handled(waits: bool) -> None:
    bench = await a_bench()
    bench.stage(copied, waits=waits)
    text = bench.text()
    bench.ids.forget(int.from_bytes((text.value or b"")[1:5], "big"))

    await bench.put(text)

    assert payloads(bench.sent(REQUESTS)) == ["why?"]
    assert len(bench.ids.fetched) == 1
    assert bench.watermark() == 1


async def test_a_schema_nobody_has_makes_a_dead_letter_after_one_question() -> None:
    bench = await a_bench()
    bench.stage(copied)

    await bench.put(FakeReceived(0, b"\x00\x7f\xff\xff\xff" + b"\x02" * 40))

    (letter,) = bench.producer.to("dead-letters")
    assert letter.header("forgestream.error-code") == "schema_not_loaded"
    assert letter.header("forgestream.schema-id") == str(0x7FFFFFFF)
    assert bench.ids.fetched == [0x7FFFFFFF]
    assert bench.watermark() == 1


async def test_a_tombstone_goes_to_its_own_handler() -> None:
    bench = await a_bench()
    forgotten = []
    bench.stage(copied, reads=KNOWLEDGE, tombstone=lambda key, _: forgotten.append(key))
    tp = TopicPartition("knowledge", 0)

    await bench.put(
        FakeReceived(0, None, b"d-1", topic="knowledge"),
        FakeReceived(1, None, b"\xff\xfe", topic="knowledge"),
        FakeReceived(2, None, None, topic="knowledge"),
    )

    assert forgotten == ["d-1"]
    assert [letter.value for letter in bench.producer.to("dead-letters")] == [None, None]
    assert bench.watermark(tp) == 3


async def test_a_tombstone_where_none_has_a_meaning_is_a_dead_letter() -> None:
    bench = await a_bench()
    bench.stage(copied)

    await bench.put(FakeReceived(0, None))

    assert bench.producer.to("dead-letters")[0].header("forgestream.error-code") == "undecodable"


async def test_hostile_headers_neither_stop_the_worker_nor_get_lost() -> None:
    bench = await a_bench()

    def handler(record: TextQuery, emit: Emit) -> None:
        raise ProviderRefused("no")

    bench.stage(handler)
    text = bench.text()
    headers = [
        ("traceparent", b"garbage"),
        ("forgestream.attempts", b"9" * 5000),
        ("forgestream.first-failed-at", b"\xff\xfe"),
        ("", b""),
        ("x", b"\x00" * 1000),
    ]

    await bench.put(FakeReceived(0, text.value, text.key, headers=headers))

    (letter,) = bench.producer.to("dead-letters")
    assert letter.header("forgestream.attempts") == "1"
    assert ("x", b"\x00" * 1000) in letter.headers
    assert bench.watermark() == 1
    assert not bench.fatal


async def test_a_redriven_record_that_fails_again_counts_on() -> None:
    bench = await a_bench()
    bench.stage(copied)
    headers = [("forgestream.attempts", b"4"), ("forgestream.first-failed-at", b"2026-01-01T00:00:00+00:00")]

    await bench.put(FakeReceived(0, b"broken", headers=headers))

    (letter,) = bench.producer.to("dead-letters")
    assert letter.header("forgestream.attempts") == "5"
    assert letter.header("forgestream.first-failed-at") == "2026-01-01T00:00:00+00:00"
    assert len([name for name, _ in letter.headers if name == "forgestream.attempts"]) == 1


async def test_bytes_pass_through_with_key_and_headers() -> None:
    bench = await a_bench()

    def handler(record: bytes, emit: Emit) -> None:
        emit(DEAD_LETTERS, record)

    bench.stage(handler, reads=DEAD_LETTERS)
    received = FakeReceived(0, b"anything", b"\xff", topic="dead-letters", headers=[("a", b"b")])

    await bench.put(received)

    (sent,) = bench.producer.sent
    assert (sent.value, sent.key, list(sent.headers)) == (b"anything", b"\xff", [("a", b"b")])


async def test_a_topic_has_one_stage() -> None:
    bench = await a_bench()
    bench.stage(copied)

    with pytest.raises(ValueError, match="texts"):
        bench.stage(copied)


async def test_an_empty_batch_is_nothing() -> None:
    bench = await a_bench()
    bench.stage(copied)

    assert bench.engine.take(TP, [])

    assert bench.engine.watermarks() == {}
    assert bench.engine.held() == {}
    assert TEXTS.name in bench.engine.stages
