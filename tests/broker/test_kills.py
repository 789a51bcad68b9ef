"""Workers killed with SIGKILL at the worst moment: nothing is lost, keys stay in order, nothing is counted twice."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from schemas.records import CircuitState, Outcome
from schemas.registry import LockedIds, SchemaSource, serde
from tests.broker.places import PARTITIONS, Place
from tests.child import Child, program
from tests.cluster import Cluster
from tests.progress import await_committed, await_stored, await_true

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_kill_with_500_in_flight_loses_nothing_and_keeps_the_order_of_keys(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """A partition has 500 calls under way when its worker dies: each record still comes out, each key in order."""
    records, keys = 3_000, 1_000
    cluster, place = Cluster(kafka), Place.of(namespace, tmp_path)
    cluster.create(place.topics, 1)
    cluster.fill(place.reads, ((b"%d" % (number % keys), b"%d" % number) for number in range(records)))

    with Child(program("broker.programs.waiting", kafka, *place.arguments), tmp_path / "worker.log") as worker:
        await_true(Path(place.marker).exists, worker, "500 in flight")
        await_stored(cluster, place.writes, records // 4, worker)
        worker.kill()
        at_kill = cluster.stored([place.writes])
        worker.start()
        await_committed(cluster, place.group, [place.reads], records, worker)

    assert at_kill < records
    assert in_order_of_appearance(cluster, place.writes) == {
        b"%d" % key: list(range(key, records, keys)) for key in range(keys)
    }


async def test_a_table_counts_every_record_once_across_three_kills(kafka: str, namespace: str, tmp_path: Path) -> None:
    """Whatever instant the owner of a table dies, a record read again is not counted again."""
    portion, portions, keys = 1_500, 4, 30
    cluster, place, ids = Cluster(kafka), Place.of(namespace, tmp_path), LockedIds()
    await ids.start({f"{place.reads}-value": Outcome, f"{place.writes}-value": CircuitState})
    cluster.create(place.topics, PARTITIONS)

    with Child(program("broker.programs.counting", kafka, *place.arguments), tmp_path / "worker.log") as worker:
        for number in range(portions):
            cluster.fill(place.reads, outcomes(ids, place, portion, keys))
            if number + 1 < portions:
                await_stored(cluster, place.writes, portion * number + portion // 2, worker)
                worker.kill()
                worker.start()
        await_committed(cluster, place.group, [place.reads], portion * portions, worker)

    per_key = portion * portions // keys
    assert final_counts(ids, cluster, place) == {f"dependency-{key}": per_key for key in range(keys)}


def in_order_of_appearance(cluster: Cluster, topic: str) -> dict[bytes, list[int]]:
    """Return, per key, the distinct numbers in the order in which they first came out."""
    seen: defaultdict[bytes, dict[int, None]] = defaultdict(dict)
    for stored in cluster.read(topic):
        seen[stored.key][int(stored.value)] = None
    return {key: list(numbers) for key, numbers in seen.items()}


def outcomes(ids: SchemaSource, place: Place, count: int, keys: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield outcomes of calls, dependencies taking turns."""
    codec = serde(ids, place.reads, Outcome)
    for number in range(count):
        dependency = f"dependency-{number % keys}"
        yield dependency.encode(), codec.encode(Outcome(dependency=dependency, ok=False, latency_ms=1.0, at=NOW))


def final_counts(ids: SchemaSource, cluster: Cluster, place: Place) -> dict[str, int]:
    """Return the last count that was written for each dependency."""
    codec = serde(ids, place.writes, CircuitState)
    states = [codec.decode(stored.value) for stored in cluster.read(place.writes)]
    return {state.dependency: state.failures for state in states}
