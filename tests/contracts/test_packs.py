"""Packs over real sockets: the HTTP client against a DataForge that misbehaves, and three replicas that share a Redis."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.records import Invalidation
from streams.clients.cache_redis import RedisCache
from streams.clients.dataforge_packs import DataForgePacks
from streams.errors import (
    DataForgeRefused,
    DataForgeUnavailable,
    PackInvalid,
    PackNotFound,
    PipelineError,
    SettingsInvalid,
)
from streams.packs import Library
from streams.settings import DataForgeSettings
from tests.clock import FixedClock
from tests.loopback.dataforge import API_KEY, HEALTH, Fault, LoopbackDataForge, loopback_dataforge
from tests.loopback.redis_server import redis_server


@pytest.fixture
async def server() -> AsyncIterator[LoopbackDataForge]:
    async with loopback_dataforge() as serving:
        yield serving


def settings(server: LoopbackDataForge, *, timeout_s: float = 20, health_s: float = 0) -> DataForgeSettings:
    return DataForgeSettings(url=server.url, api_key=API_KEY, timeout_s=timeout_s, health_s=health_s)


@pytest.fixture
async def packs(server: LoopbackDataForge) -> AsyncIterator[DataForgePacks]:
    client = DataForgePacks(settings(server))
    await client.start()
    yield client
    await client.close()


async def test_a_pack_arrives_as_it_was_put(server: LoopbackDataForge, packs: DataForgePacks) -> None:
    version = server.put_pack("p/1 ä?", "One.", "Two.")

    pack = await packs.fetch("p/1 ä?")

    assert (pack.pack_id, pack.version, pack.incomplete) == ("p/1 ä?", version, ())
    assert [(passage.text, passage.primary) for passage in pack.passages] == [("One.", True), ("Two.", False)]
    (_, sent), *_ = server.calls
    assert (sent["Accept-Version"], sent["X-API-Key"]) == ("1", API_KEY)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.SERVER_ERROR, DataForgeUnavailable),
        (Fault.TOO_MANY, DataForgeUnavailable),
        (Fault.MALFORMED, DataForgeUnavailable),
        (Fault.HALF, DataForgeUnavailable),
        (Fault.CLOSED, DataForgeUnavailable),
        (Fault.CONFLICT, DataForgeUnavailable),
        (Fault.UNPROCESSABLE, DataForgeRefused),
        (Fault.UNAUTHORIZED, DataForgeRefused),
        (Fault.REDIRECT, DataForgeRefused),
        (Fault.NOT_ACCEPTABLE, DataForgeRefused),
        (Fault.HUGE, DataForgeRefused),
        (Fault.NOT_FOUND, PackNotFound),
        (Fault.MISSING_FIELDS, PackInvalid),
        (Fault.MISSHAPEN, PackInvalid),
    ],
)
async def test_every_failure_has_its_class_and_the_next_call_is_well(
    server: LoopbackDataForge, packs: DataForgePacks, fault: Fault, error: type[PipelineError]
) -> None:
    server.put_pack("p", "One.")
    server.fail_next(fault)

    with pytest.raises(error) as raised:
        await packs.fetch("p")

    assert type(raised.value) is error
    assert API_KEY not in f"{raised.value} {raised.value.context}"
    assert (await packs.fetch("p")).passages[0].text == "One."


@pytest.mark.parametrize("fault", [Fault.SILENCE, Fault.TRICKLE])
async def test_silence_and_a_trickle_end_with_the_timeout(server: LoopbackDataForge, fault: Fault) -> None:
    client = DataForgePacks(settings(server, timeout_s=0.1))
    server.fault = fault

    with pytest.raises(DataForgeUnavailable, match="did not answer"):
        await client.fetch("p")

    await client.close()


async def test_its_health_is_looked_at_between_requests(server: LoopbackDataForge) -> None:
    client = DataForgePacks(settings(server, health_s=0.01))
    await client.start()

    async def until(well: bool) -> None:
        async with asyncio.timeout(10):
            while client.well is not well:  # noqa: ASYNC110 - nobody tells but the client itself
                await asyncio.sleep(0.005)

    server.fault = Fault.SERVER_ERROR
    await until(well=False)
    server.fault = None
    await until(well=True)
    await client.close()
    assert server.arrived[HEALTH] >= 2


async def test_an_endless_word_about_its_health_is_an_answer_and_it_is_asked_again(server: LoopbackDataForge) -> None:
    client = DataForgePacks(settings(server, health_s=0.01))
    server.fault = Fault.HUGE
    await client.start()

    async with asyncio.timeout(10):
        while server.arrived[HEALTH] < 3:  # noqa: ASYNC110 - nobody tells but the server itself
            await asyncio.sleep(0.005)

    assert client.well
    await client.close()


@pytest.mark.parametrize(
    ("url", "path", "named"),
    [
        ("http://host:port", "/health", "FORGESTREAM_DATAFORGE_URL"),
        ("http://host", "//host:port/health", "FORGESTREAM_DATAFORGE_HEALTH_PATH"),
        ("http://host", "/health\n", "FORGESTREAM_DATAFORGE_HEALTH_PATH"),
    ],
)
def test_an_address_nobody_could_be_asked_at_is_refused_at_start(url: str, path: str, named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named):
        DataForgePacks(DataForgeSettings(url=url, health_path=path))


async def test_a_changed_pack_is_never_served_after_its_invalidation_by_any_of_three_replicas(
    server: LoopbackDataForge, tmp_path: Path, clock: FixedClock
) -> None:
    """Each replica has its own client and its own view; they share a Redis. Calls are held up while the pack changes."""
    changed: list[dict[str, Invalidation]] = [{}, {}, {}]
    async with redis_server(tmp_path) as running:
        caches = [
            RedisCache(running.url, prefix="t:", timeout_s=10, most_bytes=10**6, time=lambda: 0.0) for _ in changed
        ]
        clients = [DataForgePacks(settings(server)) for _ in changed]
        libraries = [
            Library(client, cache, view, clock, settings(server))
            for client, cache, view in zip(clients, caches, changed, strict=True)
        ]

        async def served(replica: int) -> str:
            held = await libraries[replica].held("p")
            if held is not None and held.fresh:
                return held.pack.version
            call = await libraries[replica].call("p")
            assert call.pack is not None
            return call.pack.version

        for turn in range(20):
            server.held = asyncio.Event()
            server.put_pack("p", f"As of {turn}, before.")
            clock.advance(3601)  # what is cached is too old: every replica calls
            calls = server.arrived["p"] + 3
            under_way = [asyncio.ensure_future(served(replica)) for replica in range(3)]
            async with asyncio.timeout(20):
                while server.arrived["p"] < calls:  # noqa: ASYNC110 - the server is all there is to look at
                    await asyncio.sleep(0.001)
            version = server.put_pack("p", f"As of {turn}, after.")
            told = Invalidation(subject="pack:p", version=version, reason="updated", at=clock.now())
            for replica in (turn % 3, (turn + 1) % 3):  # two replicas know; the third is a moment behind
                changed[replica]["pack:p"] = told
            asking = [asyncio.ensure_future(served(replica)) for replica in (turn % 3, (turn + 1) % 3)]
            server.held.set()
            assert [await one for one in asking] == [version, version]
            await asyncio.gather(*under_way)  # older answers that come last are put into the shared cache, too late
            changed[(turn + 2) % 3]["pack:p"] = told
            assert [await served(replica) for replica in (0, 1, 2)] == [version] * 3
        assert sum(library.counts.hits for library in libraries) >= 40
        for client, cache in zip(clients, caches, strict=True):
            await client.close()
            await cache.close()
