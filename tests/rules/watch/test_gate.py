"""Who may call a dependency, and who probes a half-open one."""

from datetime import datetime, timedelta

import pytest

from schemas.records import CircuitState, Phase
from streams.circuit import Gate, prober
from streams.partitions import partition
from tests.given import NOON

PARTITIONS = 4
KEYS = [f"session-{number}" for number in range(64)]


def a_circuit(*, open_until: datetime | None = NOON, forced: Phase | None = None) -> CircuitState:
    return CircuitState(dependency="m", open_until=open_until, forced=forced, probe_s=10.0, as_of=NOON, counted={})


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def workers(state: CircuitState, count: int) -> list[tuple[Gate, list[str]]]:
    """Return gates of workers that share the partitions, each with the keys it gets."""
    return [
        (Gate({"m": state}, PARTITIONS), [key for key in KEYS if partition(key.encode(), PARTITIONS) % count == number])
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("state", "through"),
    [
        (None, True),
        (a_circuit(open_until=None), True),
        (a_circuit(forced=Phase.DISABLED), True),
        (a_circuit(open_until=at(1)), False),
        (a_circuit(forced=Phase.FORCED_OPEN), False),
    ],
)
def test_a_circuit_lets_all_through_or_none(state: CircuitState | None, through: bool) -> None:
    gate = Gate({"m": state} if state else {}, PARTITIONS)

    assert {gate.lets_through("m", NOON, key) for key in KEYS} == {through}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_one_request_of_the_whole_cluster_probes_in_each_span(count: int) -> None:
    cluster = workers(a_circuit(), count)

    for span in range(8):
        through = sum(gate.lets_through("m", at(span * 10 + 3), key) for gate, keys in cluster for key in keys)
        assert through == 1


def test_partitions_take_turns_as_some_may_have_no_requests() -> None:
    assert sorted(prober("m", span, PARTITIONS) for span in range(PARTITIONS)) == list(range(PARTITIONS))


def test_who_only_looks_takes_nothing() -> None:
    gate = Gate({"m": a_circuit()}, partitions=1)

    assert [gate.look(("m",), NOON, "key").probing for _ in range(3)] == [{"m"}] * 3
    gate.take("m", NOON)
    passes = gate.look(("m",), NOON, "key")
    assert (passes.refused, passes.probing, passes.spare) == ({"m": Phase.HALF_OPEN}, set(), set())


def test_a_circuit_that_opened_again_is_probed_anew() -> None:
    circuits = {"m": a_circuit()}
    gate = Gate(circuits, partitions=1)
    assert gate.lets_through("m", at(1), "key")

    circuits["m"] = a_circuit(open_until=at(5))
    assert not gate.lets_through("m", at(4), "key")
    assert gate.lets_through("m", at(6), "key")


def test_out_of_turn_a_worker_knows_what_it_could_try_in_need() -> None:
    gate = Gate({"m": a_circuit()}, PARTITIONS)
    other = next(key for key in KEYS if partition(key.encode(), PARTITIONS) != prober("m", 0, PARTITIONS))

    passes = gate.look(("m",), NOON, other)

    assert (passes.refused, passes.spare) == ({"m": Phase.HALF_OPEN}, {"m"})
