"""Tables on a real broker when rebalances overtake each other: no record is counted before its row is there."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from schemas.records import CircuitState, Outcome, Result
from schemas.registry import LockedIds, serde
from streams.app import App
from streams.emit import Emit
from streams.producer import LibrdkafkaProducer
from streams.settings import Settings
from tests.broker.places import Place, outcomes
from tests.broker.programs.counting import initial, one_more
from tests.broker.test_kills import outcomes as some_outcomes
from tests.cluster import Cluster
from tests.eventually import eventually
from topology.provision import plan_of_changelog, provision

PARTITIONS, KEYS, PORTION = 4, 60, 600
TABLE = "counts"
WITHIN_S = 60.0


@asynccontextmanager
async def a_worker(
    settings: Settings, place: Place, directory: Path, gate: asyncio.Event, ids: LockedIds
) -> AsyncIterator[asyncio.Event]:
    """Count outcomes until the block ends; no table is recovered before the gate opens. The event says: it has partitions."""
    producer = LibrdkafkaProducer(settings.kafka, settings.engine)
    runtime = place.runtime(settings, ids, producer, PARTITIONS)
    app = App("counting", runtime)
    app.conf.datadir = directory / settings.engine.worker_id
    counts = app.owned_table(TABLE, CircuitState, initial)

    @app.stage(outcomes(place.reads, PARTITIONS), name="count")
    def count(outcome: Outcome, _emit: Emit) -> None:
        counts.update(outcome.dependency, one_more)

    recover = app.recovery.recover

    async def when_let(*arguments: Any) -> None:  # noqa: ANN401 - as the original
        await gate.wait()
        await recover(*arguments)

    vars(app.recovery)["recover"] = when_let
    assigned = asyncio.Event()

    async def tell(*_: object, **__: object) -> None:
        assigned.set()

    cast("Any", app.on_partitions_assigned).connect(tell)
    name = app.changelog_name(TABLE)
    await ids.start({f"{name}-value": CircuitState})
    await provision([plan_of_changelog(name, settings.kafka)], settings.kafka)
    starting = asyncio.create_task(app.start())
    try:
        yield assigned
    finally:
        gate.set()
        await starting
        await app.stop()
        await producer.close(settings.engine.drain_s)


async def until(condition: Any, what: str) -> None:  # noqa: ANN401 - a callable
    """Wait beside the loop."""
    await asyncio.to_thread(eventually, condition, within_s=WITHIN_S, what=what)


@pytest.mark.timeout(150)
async def test_no_record_is_counted_before_its_row_is_there_although_a_rebalance_overtakes_the_recovery(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """One worker stops half way to its tables when another joins; both then count on what was counted before."""
    place, cluster, ids = Place.of(namespace, tmp_path), Cluster(kafka), LockedIds()
    await ids.start({f"{place.reads}-value": Outcome, f"{place.results}-value": Result})
    cluster.create(place.topics, PARTITIONS)
    defaults = Settings()
    first = replace(
        defaults,
        kafka=replace(defaults.kafka, bootstrap=kafka, topic_prefix=namespace, partitions=PARTITIONS),
        engine=replace(defaults.engine, worker_id="first", commit_interval_s=0.1),
    )
    second = replace(first, engine=replace(first.engine, worker_id="second"))
    group, opened, held, late = f"{namespace}forgestream-counting", asyncio.Event(), asyncio.Event(), asyncio.Event()
    opened.set()

    def fill() -> None:
        cluster.fill(place.reads, some_outcomes(ids, place, PORTION, KEYS))

    fill()
    async with a_worker(first, place, tmp_path, opened, ids):
        await until(lambda: cluster.committed(group, [place.reads]) >= PORTION, "the first portion is counted")
    fill()
    async with AsyncExitStack() as workers:
        for settings, gate in ((first, held), (second, late)):
            assigned = await workers.enter_async_context(a_worker(settings, place, tmp_path, gate, ids))
            async with asyncio.timeout(WITHIN_S):
                await assigned.wait()
        counted_early = cluster.committed(group, [place.reads]) - PORTION
        held.set()
        late.set()
        await until(lambda: cluster.committed(group, [place.reads]) >= 2 * PORTION, "everything is counted")

    changelog = f"{group}-{TABLE}-changelog"
    cluster.adopt([changelog], PARTITIONS)
    codec = serde(ids, changelog, CircuitState)
    rows = {stored.key: codec.decode(stored.value).failures for stored in cluster.read(changelog)}
    assert counted_early == 0
    assert rows == Counter(stored.key for stored in cluster.read(place.reads))
