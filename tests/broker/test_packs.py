"""Three workers of one group on a real broker, a Redis they share, a DataForge that tells one of them of a change."""

import asyncio
import json
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from schemas.records import Result
from schemas.registry import serde
from streams.clients.dataforge_packs import DataForgePacks
from streams.clients.models.extractive import Extractive
from streams.clients.providers import pack_cache_of
from streams.clock import SystemClock
from streams.settings import DataForgeSettings, KafkaSettings, RedisSettings
from tests.broker.deployed import KafkaPipeline
from tests.given import a_request, an_origin
from tests.loopback.dataforge import API_KEY, loopback_dataforge
from tests.loopback.redis_server import redis_server
from tests.pipeline.world import SETTINGS, outside
from topology.contract import open_schemas
from topology.embedded.ports import free_ports
from topology.outside import Outside
from topology.topics import Topics
from topology.units import Unit
from topology.webhook import PATH, SIGNATURE, sign
from topology.worker import working

SECRET = "a secret of some length"
REPLICAS = 3


class Asker:
    """Asks for answers that rest on one pack."""

    def __init__(self, pipeline: KafkaPipeline) -> None:
        self._pipeline = pipeline
        self._asked = 0

    async def ask(self, count: int) -> list[Result]:
        """Ask so many questions at once and return their results."""
        topics, now = self._pipeline.topics, SystemClock().now()
        ids = {f"r-{self._asked + number}" for number in range(count)}
        self._asked += count
        for request_id in sorted(ids):
            origin = replace(an_origin(request_id), event_time=now, deadline=now + timedelta(minutes=2))
            await self._pipeline.put(topics.requests, a_request(origin=origin, context_pack_id="frank"))
        async with asyncio.timeout(60):
            while True:
                found = await asyncio.to_thread(self._pipeline.records, topics.results)
                if ids <= {result.origin.request_id for result in found}:
                    return [result for result in found if result.origin.request_id in ids]
                await asyncio.sleep(0.05)


@pytest.mark.timeout(180)
async def test_a_change_told_to_one_worker_is_heeded_by_all_three(kafka: str, namespace: str, tmp_path: Path) -> None:
    """Before it, all serve the first version from one call; after it each goes over to the second and never back."""
    uses = {declared.name for declared in fields(Outside)}
    clock = SystemClock()
    async with AsyncExitStack() as owned:
        server = await owned.enter_async_context(loopback_dataforge())
        redis = await owned.enter_async_context(redis_server(tmp_path))
        (port,) = free_ports(1)
        settings = replace(
            SETTINGS,
            kafka=KafkaSettings(bootstrap=kafka, topic_prefix=namespace, partitions=REPLICAS),
            redis=RedisSettings(url=redis.url, timeout_s=5),
            dataforge=DataForgeSettings(url=server.url, api_key=API_KEY, timeout_s=10, webhook_secret=SECRET),
        )
        first = server.put_pack("frank", "Mary Shelley wrote Frankenstein in 1816.")
        workers = []
        for replica in range(REPLICAS):
            own = replace(
                settings,
                engine=replace(settings.engine, worker_id=f"replica-{replica}"),
                dataforge=replace(settings.dataforge, webhook_port=0 if replica else port),
            )
            packs, cache = DataForgePacks(own.dataforge), pack_cache_of(own)
            for client in (packs, cache):
                await client.start()
                owned.push_async_callback(client.close)
            ports = outside(Extractive(), clock=clock, packs=packs, pack_cache=cache)
            directory = tmp_path / str(replica)
            directory.mkdir()
            workers.append(working(own, [Unit.INFERENCE], ports, uses=uses, data_dir=directory, tell=lambda _: None))
        started = await asyncio.gather(*(owned.enter_async_context(worker) for worker in workers))
        schemas = await open_schemas(settings.registry, Topics.of(settings.kafka))
        pipeline = KafkaPipeline(settings, schemas, started[0])
        ask = Asker(pipeline).ask

        assert {result.pack_version for result in await ask(12)} == {first}
        calls = server.arrived["frank"]
        assert calls <= REPLICAS

        second = server.put_pack("frank", "Mary Shelley wrote Frankenstein in Geneva.")
        body = json.dumps({"context_pack_id": "frank", "bundle_hash": second}).encode()
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"http://127.0.0.1:{port}{PATH}", data=body, headers={SIGNATURE: sign(SECRET, body, clock.now())}
            ) as answer,
        ):
            assert answer.status == 202
        async with asyncio.timeout(30):
            newest: set[str | None] = set()
            while newest != {second}:
                newest = {result.pack_version for result in await ask(6)}
        assert {result.pack_version for result in await ask(12)} == {second}
        assert server.arrived["frank"] <= calls + REPLICAS

        served: defaultdict[int, list[str]] = defaultdict(list)
        codec = serde(schemas, pipeline.topics.results.name, Result)
        for stored in pipeline.stored(pipeline.topics.results):
            assert stored.value is not None
            served[stored.partition].append(codec.decode(stored.value).pack_version or "")
        assert len(served) == REPLICAS
        for versions in served.values():
            assert versions == sorted(versions, key=[first, second].index)
