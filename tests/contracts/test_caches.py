"""Caches: what is kept, for whom, within which bounds; one contract for the process's own and a real Redis."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from streams.clients.cache import (
    ByteCache,
    CachedAnswer,
    ExactAnswers,
    LruCache,
    Scope,
    decoded,
    encoded,
    exact_key,
)
from streams.clients.cache_redis import REST_S, RedisCache
from streams.clients.cache_semantic import SemanticAnswers
from streams.clients.single_flight import SingleFlight
from streams.ports import Vector
from tests.clock import FixedClock
from tests.contracts.test_model_conformance import ask
from tests.given import NOON
from tests.loopback.redis_server import RedisServer, redis_server

SCOPE = Scope(tenant="acme", domain="general", pack_version="3", prompt_version="general/1", tier="economy")
ANSWER = CachedAnswer(
    text="2,850 km 🦊",
    model="gpt-6-luna",
    provider="openai",
    finish_reason="stop",
    input_tokens=40,
    output_tokens=7,
    request_id="r1",
    at=NOON,
)
EAST: Vector = (1.0, 0.0)
NORTH: Vector = (0.0, 1.0)
NEARLY_EAST: Vector = (math.cos(0.1), math.sin(0.1))


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as running:
        yield running


def redis_cache(server: RedisServer, seconds: Callable[[], float], *, timeout_s: float = 10.0) -> RedisCache:
    return RedisCache(server.url, prefix="forgestream:", timeout_s=timeout_s, most_bytes=1000, time=seconds)


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest, seconds: Seconds, tmp_path: Path) -> AsyncIterator[ByteCache]:
    if request.param == "memory":
        yield LruCache(most_entries=10, most_bytes=1000, time=seconds)
        return
    async with redis_server(tmp_path) as running:
        shared = redis_cache(running, seconds)
        yield shared
        await shared.close()


async def test_what_was_put_is_found_and_the_newest_counts(cache: ByteCache) -> None:
    assert await cache.get("a") is None

    await cache.put("a", b"1", 60)
    await cache.put("a", b"\x00\xff", 60)

    assert await cache.get("a") == b"\x00\xff"
    assert await cache.get("b") is None


async def test_what_is_too_large_or_already_over_is_not_kept(cache: ByteCache) -> None:
    await cache.put("large", b"x" * 1001, 60)
    await cache.put("over", b"x", 0)

    assert (await cache.get("large"), await cache.get("over")) == (None, None)


async def test_an_answer_comes_back_with_its_age_and_source(cache: ByteCache, clock: FixedClock) -> None:
    answers = ExactAnswers(cache, clock, ttl_s=60)
    await answers.keep(SCOPE, ask(), replace(ANSWER, at=clock.now()))
    clock.advance(5)

    found = await answers.find(SCOPE, ask())

    assert found is not None
    assert (found.answer.text, found.answer.request_id) == (ANSWER.text, "r1")
    assert (found.similarity, found.age_s) == (1.0, 5.0)


async def test_an_answer_is_found_in_no_other_scope(cache: ByteCache, clock: FixedClock) -> None:
    answers = ExactAnswers(cache, clock, ttl_s=60)
    await answers.keep(SCOPE, ask(), ANSWER)

    for part in fields(Scope):
        assert await answers.find(replace(SCOPE, **{part.name: "other"}), ask()) is None
    assert await answers.find(SCOPE, ask("Another question")) is None
    assert await answers.find(SCOPE, replace(ask(), max_tokens=3)) is None
    assert await answers.find(SCOPE, replace(ask(), system="Other instructions")) is None


async def test_answers_that_vary_are_neither_kept_nor_found(cache: ByteCache, clock: FixedClock) -> None:
    answers, warm = ExactAnswers(cache, clock, ttl_s=60), replace(ask(), temperature=0.7)

    await answers.keep(SCOPE, warm, ANSWER)

    assert await answers.find(SCOPE, warm) is None
    assert await answers.find(SCOPE, ask()) is None


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"[]", b"7", b"\xff", b'{"at": "2026"}', b'{"at": 5}', encoded(ANSWER)[:-9]]
)
async def test_bytes_that_are_no_answer_are_a_miss(cache: ByteCache, clock: FixedClock, value: bytes) -> None:
    key = exact_key(SCOPE, ask())
    assert key is not None
    await cache.put(key, value, 60)

    assert await ExactAnswers(cache, clock, ttl_s=60).find(SCOPE, ask()) is None


def test_an_answer_of_another_shape_is_none() -> None:
    assert decoded(encoded(ANSWER)) == ANSWER
    assert decoded(encoded(ANSWER).replace(b'"input_tokens":40', b'"input_tokens":"x"')) is None
    assert decoded(encoded(ANSWER).replace(b"+00:00", b"")) is None


@given(st.lists(st.text(max_size=5), min_size=5, max_size=5), st.lists(st.text(max_size=5), min_size=5, max_size=5))
def test_different_scopes_never_share_a_key(one: list[str], other: list[str]) -> None:
    names = [part.name for part in fields(Scope)]
    first, second = (Scope(**dict(zip(names, texts, strict=True))) for texts in (one, other))

    assert (first.digest() == second.digest()) == (one == other)


def test_parts_of_a_scope_cannot_be_shifted_into_each_other() -> None:
    assert replace(SCOPE, tenant="ab", domain="c").digest() != replace(SCOPE, tenant="a", domain="bc").digest()


async def test_what_was_used_least_recently_goes_first(seconds: Seconds) -> None:
    cache = LruCache(most_entries=2, most_bytes=1000, time=seconds)
    await cache.put("a", b"1", 60)
    await cache.put("b", b"2", 60)
    await cache.get("a")
    await cache.put("c", b"3", 60)

    assert [await cache.get(key) for key in "abc"] == [b"1", None, b"3"]


async def test_the_end_of_an_entry_is_kept_to(seconds: Seconds) -> None:
    cache = LruCache(most_entries=2, most_bytes=1000, time=seconds)
    await cache.put("a", b"1", 60)
    seconds.now += 59.9
    assert await cache.get("a") == b"1"

    seconds.now += 0.2
    assert await cache.get("a") is None
    assert (len(cache), cache.size_bytes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 300)), max_size=80))
async def test_entries_and_bytes_stay_within_their_bounds(puts: list[tuple[int, int]]) -> None:
    cache = LruCache(most_entries=7, most_bytes=500, time=lambda: 0.0)
    for key, size in puts:
        await cache.put(str(key), b"x" * size, 60)

        assert len(cache) <= 7
        assert 0 <= cache.size_bytes <= 500


async def test_redis_ends_an_entry_by_itself(server: RedisServer, seconds: Seconds) -> None:
    cache = redis_cache(server, seconds)
    await cache.put("a", b"1", 60)

    async with Redis.from_url(server.url) as client:
        left_ms = await client.pttl("forgestream:a")
    await cache.close()

    assert 50_000 < left_ms <= 60_000


async def test_a_redis_that_is_down_is_a_miss_and_is_left_alone_for_a_while(
    server: RedisServer, seconds: Seconds
) -> None:
    cache = redis_cache(server, seconds)
    await cache.put("a", b"1", 60)
    await server.stop()

    assert [await cache.get("a") for _ in range(3)] == [None] * 3
    await cache.put("a", b"2", 60)
    assert cache.failures == 1

    await server.start()
    assert await cache.get("a") is None
    seconds.now += REST_S
    await cache.put("a", b"3", 60)
    assert await cache.get("a") == b"3"
    await cache.close()


async def test_a_redis_that_hangs_costs_no_more_than_its_timeout(server: RedisServer, seconds: Seconds) -> None:
    cache = redis_cache(server, seconds)
    slow = redis_cache(server, seconds, timeout_s=0.3)
    await cache.put("a", b"1", 60)
    server.freeze()
    async with asyncio.timeout(10):
        assert await slow.get("a") is None
    server.thaw()

    assert slow.failures == 1
    assert await cache.get("a") == b"1"
    await slow.close()
    await cache.close()


async def test_a_value_of_another_kind_is_a_miss(server: RedisServer, seconds: Seconds) -> None:
    cache = redis_cache(server, seconds)
    async with Redis.from_url(server.url) as client:
        await client.lpush("forgestream:a", "x")

    assert await cache.get("a") is None
    await cache.close()


def semantic(clock: FixedClock, *, most_scopes: int = 2, most_answers: int = 3) -> SemanticAnswers:
    return SemanticAnswers(clock, ttl_s=60, most_scopes=most_scopes, most_answers=most_answers)


def test_a_question_near_enough_has_the_answer_of_its_neighbour(clock: FixedClock) -> None:
    answers = semantic(clock)
    answers.keep(SCOPE, EAST, replace(ANSWER, text="east", at=clock.now()))
    answers.keep(SCOPE, NORTH, replace(ANSWER, text="north", at=clock.now()))
    clock.advance(3)

    found = answers.find(SCOPE, NEARLY_EAST, threshold=0.99)

    assert found is not None
    assert (found.answer.text, found.age_s) == ("east", 3.0)
    assert found.similarity == pytest.approx(math.cos(0.1), abs=1e-6)
    assert answers.find(SCOPE, NEARLY_EAST, threshold=0.999) is None


def test_no_other_scope_is_looked_at(clock: FixedClock) -> None:
    answers = semantic(clock)
    answers.keep(SCOPE, EAST, replace(ANSWER, at=clock.now()))

    for part in fields(Scope):
        assert answers.find(replace(SCOPE, **{part.name: "other"}), EAST, threshold=0.0) is None


def test_answers_grow_old_and_the_oldest_make_room(clock: FixedClock) -> None:
    answers = semantic(clock)
    for number in range(4):
        angle = number * 0.5
        vector = (math.cos(angle), math.sin(angle))
        answers.keep(SCOPE, vector, replace(ANSWER, text=str(number), at=clock.now()))
        clock.advance(20)

    assert answers.find(SCOPE, EAST, threshold=0.99) is None
    assert answers.find(SCOPE, (math.cos(1.5), math.sin(1.5)), threshold=0.99) is not None
    clock.advance(120)
    assert answers.find(SCOPE, (math.cos(1.5), math.sin(1.5)), threshold=0.99) is None


def test_the_scope_that_was_used_least_recently_makes_room(clock: FixedClock) -> None:
    answers = semantic(clock)
    scopes = [replace(SCOPE, tenant=tenant) for tenant in "abc"]
    for scope in scopes[:2]:
        answers.keep(scope, EAST, replace(ANSWER, at=clock.now()))
    answers.find(scopes[0], EAST, threshold=0.5)
    answers.keep(scopes[2], EAST, replace(ANSWER, at=clock.now()))

    assert [answers.find(scope, EAST, threshold=0.5) is not None for scope in scopes] == [True, False, True]


def test_a_scope_can_be_forgotten(clock: FixedClock) -> None:
    answers = semantic(clock)
    answers.keep(SCOPE, EAST, replace(ANSWER, at=clock.now()))
    answers.forget(SCOPE)

    assert answers.find(SCOPE, EAST, threshold=0.0) is None


def test_vectors_of_another_model_are_never_compared(clock: FixedClock) -> None:
    answers = semantic(clock)
    answers.keep(SCOPE, EAST, replace(ANSWER, at=clock.now()))

    assert answers.find(SCOPE, (1.0, 0.0, 0.0), threshold=0.0) is None
    answers.keep(SCOPE, (1.0, 0.0, 0.0), replace(ANSWER, text="new", at=clock.now()))
    assert answers.find(SCOPE, EAST, threshold=0.0) is None


class Work:
    """Counts how often it is begun; ends when told."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.end = asyncio.Event()
        self.results = itertools.count(1)

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return next(self.results)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_identical_work_under_way_is_done_once() -> None:
    flights, work = SingleFlight[int](), Work()
    tasks = [asyncio.ensure_future(flights.run("a", work)) for _ in range(50)]
    await turns()
    work.end.set()

    results = await asyncio.gather(*tasks)

    assert work.begun == 1
    assert results == [(1, False), *[(1, True)] * 49]
    assert await flights.run("a", work) == (2, False)
    assert len(flights) == 0


async def test_other_work_is_not_waited_for() -> None:
    flights, held, free = SingleFlight[int](), Work(), Work()
    free.end.set()
    waiting = asyncio.ensure_future(flights.run("a", held))
    await turns()

    assert await flights.run("b", free) == (1, False)
    held.end.set()
    await waiting


async def test_the_first_to_go_leaves_the_work_to_the_others() -> None:
    flights, work = SingleFlight[int](), Work()
    first, second = (asyncio.ensure_future(flights.run("a", work)) for _ in range(2))
    await turns()
    first.cancel()
    await asyncio.wait([first])
    work.end.set()

    assert await second == (1, True)
    assert (work.begun, work.cancelled) == (1, 0)


async def test_work_that_nobody_waits_for_is_cancelled_and_begun_anew() -> None:
    flights, work = SingleFlight[int](), Work()
    tasks = [asyncio.ensure_future(flights.run("a", work)) for _ in range(2)]
    await turns()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    work.end.set()

    assert await flights.run("a", work) == (1, False)
    assert (work.begun, work.cancelled, len(flights)) == (2, 1, 0)


async def test_a_failure_is_that_of_all_who_waited_and_of_nobody_else() -> None:
    flights = SingleFlight[int]()

    async def fails() -> int:
        await turns()
        raise ZeroDivisionError

    ends = await asyncio.gather(*(flights.run("a", fails) for _ in range(3)), return_exceptions=True)

    assert [type(end) for end in ends] == [ZeroDivisionError] * 3
    assert len(flights) == 0
