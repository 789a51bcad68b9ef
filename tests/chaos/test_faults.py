"""The short form of the faults, with a fixed seed; `make chaos` is the long one."""

import random
from collections.abc import Iterator

import pytest

from tests.chaos.arena import PLACES, Brokers, alone, arena
from tests.chaos.scenarios import SCENARIOS

SEED = 20261121


@pytest.fixture
def brokers(request: pytest.FixtureRequest) -> Iterator[Brokers]:
    """Where the scenario takes place: the run's own broker unless it is the broker that fails."""
    where = SCENARIOS[request.param].where
    place = PLACES[where]("", None) if where in PLACES else alone(request.getfixturevalue("kafka"))
    with place as found:
        yield found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("brokers", "name", "faults"),
    [
        (name, name, faults)
        for name, faults in (
            ("worker killed", 2),
            ("worker frozen", 1),
            ("poisoned records", 1),
            ("broker killed", 1),
            ("cut link", 1),
            ("half-open link", 1),
        )
    ],
    indirect=["brokers"],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_nothing_is_lost_reordered_or_miscounted(brokers: Brokers, name: str, faults: int) -> None:
    """Whatever fails, what came out is what went in, per key in order, and the table has counted each copy once."""
    scenario, chance = SCENARIOS[name], random.Random(SEED)

    with arena(
        brokers, entry=scenario.entry, rate=scenario.rate, clock=scenario.clock, session_s=scenario.session_s
    ) as here:
        for _ in range(faults):
            here.suffer(scenario.strike, chance)
        found = here.finish()

    assert found.problems == []
    assert found.records > 0
