"""Workers that come and go under load: everything comes out, keys stay in order, and commits catch up."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.records import Result
from schemas.registry import LockedIds
from streams.app import App
from streams.emit import Emit
from streams.producer import LibrdkafkaProducer
from streams.settings import Settings
from tests.broker.places import Place, raw
from tests.cluster import Cluster
from tests.eventually import eventually

PARTITIONS, KEYS, RECORDS = 4, 200, 6_000
WITHIN_S = 60.0


@asynccontextmanager
async def a_worker(settings: Settings, place: Place, directory: Path) -> AsyncIterator[App]:
    """Copy records after a pause that differs from record to record, until the block ends."""
    ids = LockedIds()
    await ids.start({f"{place.results}-value": Result})
    producer = LibrdkafkaProducer(settings.kafka, settings.engine)
    runtime = place.runtime(settings, ids, producer, PARTITIONS)
    app = App("copying", runtime)
    app.conf.datadir = directory / settings.engine.worker_id
    writes = raw(place.writes, PARTITIONS)

    @app.stage(raw(place.reads, PARTITIONS), name="copy", in_flight=200)
    async def copy(value: bytes, emit: Emit) -> None:
        await asyncio.sleep(int(value) % 7 / 200)
        emit(writes, value)

    await app.start()
    try:
        yield app
    finally:
        await app.stop()
        assert await producer.close(settings.engine.drain_s) == 0


async def reached(cluster: Cluster, place: Place, group: str, count: int) -> None:
    """Wait until the group has committed `count` records."""
    await asyncio.to_thread(
        eventually,
        lambda: cluster.committed(group, [place.reads]) >= count,
        within_s=WITHIN_S,
        what=f"{count} records committed",
    )


@pytest.mark.timeout(150)
async def test_workers_that_join_and_leave_under_load_lose_nothing_and_commit_everything(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """A second worker joins in the middle, the first leaves later: no record is lost, no key out of order, lag ends at 0."""
    place, cluster = Place.of(namespace, tmp_path), Cluster(kafka)
    cluster.create(place.topics, PARTITIONS)
    defaults = Settings()
    first = replace(
        defaults,
        kafka=replace(defaults.kafka, bootstrap=kafka, topic_prefix=namespace),
        engine=replace(defaults.engine, worker_id="first"),
    )
    second = replace(first, engine=replace(first.engine, worker_id="second"))
    cluster.fill(place.reads, ((b"%d" % (number % KEYS), b"%d" % number) for number in range(RECORDS // 2)))

    async with AsyncExitStack() as later:
        async with a_worker(first, place, tmp_path) as app:
            group = app.conf.id
            await reached(cluster, place, group, RECORDS // 10)
            joined = await later.enter_async_context(a_worker(second, place, tmp_path))
            await asyncio.to_thread(
                cluster.fill, place.reads, ((b"%d" % (n % KEYS), b"%d" % n) for n in range(RECORDS // 2, RECORDS))
            )
            await reached(cluster, place, group, RECORDS * 3 // 5)
            assert joined.consumer.assignment(), "the second worker took no part"
        await reached(cluster, place, group, RECORDS)

    seen: defaultdict[bytes, dict[int, None]] = defaultdict(dict)
    for stored in cluster.read(place.writes):
        seen[stored.key][int(stored.value)] = None
    assert {key: list(numbers) for key, numbers in seen.items()} == {
        b"%d" % key: list(range(key, RECORDS, KEYS)) for key in range(KEYS)
    }
