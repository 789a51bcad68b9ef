"""Stages, commits and views on a real broker, in this process."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.records import CircuitState
from schemas.registry import LockedIds, serde
from streams.app import App
from streams.emit import Emit
from streams.engine import Runtime
from streams.errors import ProviderUnavailable
from streams.producer import LibrdkafkaProducer
from streams.settings import EngineSettings, KafkaSettings, Settings
from streams.tracing import Tracing
from streams.views import View
from tests.broker.places import Place, circuit_states, raw
from tests.clock import FixedClock
from tests.cluster import Cluster

PARTITIONS = 2
PATIENCE_S = 30


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait without blocking the loop that the engine runs on."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - the broker sets no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S} s: {what}") from None


def settings_for(kafka: str, namespace: str, **engine: Any) -> Settings:  # noqa: ANN401 - settings of the engine
    return replace(
        Settings(),
        kafka=KafkaSettings(bootstrap=kafka, topic_prefix=namespace, partitions=PARTITIONS),
        engine=EngineSettings(commit_interval_s=0.1, retry_initial_s=0.0, **engine),
    )


@asynccontextmanager
async def a_unit(
    kafka: str,
    place: Place,
    directory: Path,
    declare: Callable[[App], None],
    **engine: Any,  # noqa: ANN401 - settings of the engine
) -> AsyncIterator[App]:
    """Run one unit as long as the block; leaving it is a graceful stop."""
    settings = settings_for(kafka, place.group, **engine)
    producer = LibrdkafkaProducer(settings.kafka, settings.engine)
    runtime = Runtime(
        settings=settings,
        schemas=LockedIds(),
        producer=producer,
        clock=FixedClock(),
        dead_letters=raw(place.dead_letters),
        results=raw(place.results),  # type: ignore[arg-type]  # nothing here ends a request
        tracing=Tracing(),
    )
    app = App("unit", runtime)
    app.conf.datadir = directory / "faust"
    declare(app)
    try:
        await app.start()
        assert app.crash_reason is None
        yield app
    finally:
        await app.stop()
        await producer.close(5)


def group_of(place: Place) -> str:
    return f"{place.group}forgestream-unit"


async def test_a_stage_copies_everything_and_keeps_the_order_of_keys_whatever_its_handlers_wait(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    records, keys, chance = 3_000, 50, random.Random(1)
    cluster, place = Cluster(kafka), Place.of(namespace, tmp_path)
    await asyncio.to_thread(cluster.create, place.topics, PARTITIONS)
    await asyncio.to_thread(
        cluster.fill, place.reads, [(b"%d" % (number % keys), b"%d" % number) for number in range(records)]
    )
    tried: set[bytes] = set()

    def declare(app: App) -> None:
        @app.stage(raw(place.reads, PARTITIONS), name="copy", in_flight=16)
        async def copy(record: bytes, emit: Emit) -> None:
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.005]))
            if record not in tried and chance.random() < 0.01:
                tried.add(record)
                raise ProviderUnavailable("busy")
            emit(raw(place.writes, PARTITIONS), record)

    async with a_unit(kafka, place, tmp_path, declare):
        await until(lambda: cluster.stored([place.writes]) >= records, "every record copied")

    found: defaultdict[bytes, list[int]] = defaultdict(list)
    for stored in await asyncio.to_thread(lambda: list(cluster.read(place.writes))):
        found[stored.key].append(int(stored.value))
    assert found == {b"%d" % key: list(range(key, records, keys)) for key in range(keys)}
    assert tried
    assert cluster.committed(group_of(place), [place.reads]) == records


async def test_a_graceful_stop_finishes_what_runs_commits_it_and_the_rest_is_handled_by_the_next(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    records = 500
    cluster, place = Cluster(kafka), Place.of(namespace, tmp_path)
    await asyncio.to_thread(cluster.create, place.topics, PARTITIONS)
    await asyncio.to_thread(cluster.fill, place.reads, [(b"%d" % number, b"%d" % number) for number in range(records)])
    handled: list[bytes] = []

    def declare(app: App) -> None:
        @app.stage(raw(place.reads, PARTITIONS), name="copy", in_flight=4)
        async def copy(record: bytes, emit: Emit) -> None:
            await asyncio.sleep(0.002)
            handled.append(record)
            emit(raw(place.writes, PARTITIONS), record)

    async with a_unit(kafka, place, tmp_path, declare):
        await until(lambda: len(handled) > 50, "some are handled")
    first = len(handled)
    async with a_unit(kafka, place, tmp_path, declare):
        await until(lambda: cluster.committed(group_of(place), [place.reads]) == records, "all are committed")

    assert first < records
    assert len(handled) == len(set(handled)) == records
    assert cluster.stored([place.writes]) == records


async def test_a_handler_that_never_ends_is_cancelled_at_the_stop_and_read_again(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    cluster, place = Cluster(kafka), Place.of(namespace, tmp_path)
    await asyncio.to_thread(cluster.create, place.topics, PARTITIONS)
    await asyncio.to_thread(cluster.fill, place.reads, [(b"k", b"stuck")])
    begun: list[bytes] = []

    def declare(app: App) -> None:
        @app.stage(raw(place.reads, PARTITIONS), name="copy")
        async def copy(record: bytes, emit: Emit) -> None:
            begun.append(record)
            if len(begun) == 1:
                await asyncio.get_running_loop().create_future()
            emit(raw(place.writes, PARTITIONS), record)

    async with a_unit(kafka, place, tmp_path, declare, drain_s=0.1):
        await until(lambda: begun, "it has begun")
    committed = cluster.committed(group_of(place), [place.reads])
    async with a_unit(kafka, place, tmp_path, declare):
        await until(lambda: cluster.stored([place.writes]) == 1, "it is handled")

    assert committed == 0
    assert begun == [b"stuck", b"stuck"]


async def test_a_view_is_whole_when_it_has_started_and_follows(kafka: str, namespace: str) -> None:
    cluster, ids, name = Cluster(kafka), LockedIds(), f"{namespace}circuit-states"
    topic = circuit_states(name, PARTITIONS)
    await ids.start({f"{name}-value": CircuitState})
    codec = serde(ids, name, CircuitState)
    await asyncio.to_thread(cluster.create, [name], PARTITIONS)

    def put(*states: tuple[str, int]) -> None:
        at = datetime(2026, 11, 21, 12, tzinfo=UTC)
        cluster.fill(
            name,
            [
                (key.encode(), codec.encode(CircuitState(dependency=key, failures=failures, as_of=at, counted={})))
                for key, failures in states
            ],
        )

    await asyncio.to_thread(put, *((f"d{number % 100}", number) for number in range(1000)))
    await asyncio.to_thread(cluster.fill, name, [(b"d0", b"damaged"), (b"\xff", b"damaged")])
    view = View(topic, codec, KafkaSettings(bootstrap=kafka))

    await view.start()
    try:
        at_start = {key: state.failures for key, state in view.items()}
        await asyncio.to_thread(put, ("d1", 7), ("new", 1))
        await until(lambda: "new" in view and view["d1"].failures == 7, "the view follows")
    finally:
        await view.close()

    assert at_start == {f"d{number}": 900 + number for number in range(100)}


async def test_a_view_of_an_empty_topic_starts_empty(kafka: str, namespace: str) -> None:
    cluster, name = Cluster(kafka), f"{namespace}empty"
    await asyncio.to_thread(cluster.create, [name], PARTITIONS)
    topic = circuit_states(name, PARTITIONS)
    view = View(topic, serde(LockedIds(), name, CircuitState), KafkaSettings(bootstrap=kafka))

    await view.start()
    try:
        assert dict(view) == {}
    finally:
        await view.close()
