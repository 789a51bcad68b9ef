"""Caches: what is kept, for whom, within which bounds; one contract for the process's own and a real Redis."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from streams.answers import CachedAnswer, Question, Scope
from streams.clients.answers import AnswerCache
from streams.clients.cache import ByteCache, ExactAnswers, LruCache, decoded, encoded
from streams.clients.cache_redis import REST_S, RedisCache
from streams.clients.cache_semantic import SemanticAnswers
from streams.ports import Vector
from streams.settings import CacheSettings
from tests.clock import FixedClock
from tests.given import NOON
from tests.loopback.redis_server import RedisServer, redis_server

SCOPE = Scope(
    tenant="acme",
    domain="general",
    task="analysis",
    grounds="pack 3",
    prompt_version="general/1",
    model="",
    tier="economy",
)
QUESTION = Question(scope=SCOPE, ask="0123", text="How long is the Danube?", max_tokens=100, threshold=0.99)
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


class Holding(LruCache):
    """Has the same bytes under every key."""

    def __init__(self, value: bytes) -> None:
        super().__init__(most_entries=0, most_bytes=0, time=lambda: 0.0)
        self._value = value

    async def get(self, key: str) -> bytes | None:
        return self._value


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
    await answers.keep(QUESTION, replace(ANSWER, at=clock.now()))
    clock.advance(5)

    found = await answers.find(QUESTION)

    assert found is not None
    assert (found.answer.text, found.answer.request_id) == (ANSWER.text, "r1")
    assert (found.similarity, found.age_s) == (1.0, 5.0)


async def test_an_answer_is_found_in_no_other_scope(cache: ByteCache, clock: FixedClock) -> None:
    answers = ExactAnswers(cache, clock, ttl_s=60)
    await answers.keep(QUESTION, ANSWER)

    for part in fields(Scope):
        assert await answers.find(replace(QUESTION, scope=replace(SCOPE, **{part.name: "other"}))) is None
    assert await answers.find(replace(QUESTION, ask="4567")) is None


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"[]", b"7", b"\xff", b'{"at": "2026"}', b'{"at": 5}', encoded(ANSWER)[:-9]]
)
async def test_bytes_that_are_no_answer_are_a_miss(clock: FixedClock, value: bytes) -> None:
    answers = ExactAnswers(Holding(value), clock, ttl_s=60)

    assert await answers.find(QUESTION) is None


def test_an_answer_of_another_shape_is_none() -> None:
    assert decoded(encoded(ANSWER)) == ANSWER
    assert decoded(encoded(ANSWER).replace(b'"input_tokens":40', b'"input_tokens":"x"')) is None
    assert decoded(encoded(ANSWER).replace(b"+00:00", b"")) is None


PARTS = st.lists(st.text(max_size=5), min_size=7, max_size=7)


@given(PARTS, PARTS)
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


async def test_near_questions_are_found_beside_the_same_ones(clock: FixedClock) -> None:
    memory = AnswerCache(CacheSettings(), LruCache(most_entries=9, most_bytes=9999, time=lambda: 0.0), clock)
    await memory.keep(QUESTION, EAST, replace(ANSWER, at=clock.now()))
    other = replace(QUESTION, ask="4567")

    found = memory.near(other, NEARLY_EAST)

    assert found is not None
    assert (found.kind, found.answer.text) == ("semantic", ANSWER.text)
    assert await memory.exact(other) is None
    assert memory.near(replace(other, max_tokens=ANSWER.output_tokens - 1), EAST) is None, "it is longer than allowed"
    assert memory.near(replace(other, threshold=None), EAST) is None
    assert memory.near(replace(other, scope=replace(SCOPE, tenant="other")), EAST) is None


async def test_an_answer_without_a_vector_is_for_the_same_question_only(clock: FixedClock) -> None:
    memory = AnswerCache(CacheSettings(), LruCache(most_entries=9, most_bytes=9999, time=lambda: 0.0), clock)
    await memory.keep(QUESTION, None, replace(ANSWER, at=clock.now()))

    assert memory.near(replace(QUESTION, ask="4567"), EAST) is None
    assert await memory.exact(QUESTION) is not None
