"""The short form of the faults, with a fixed seed; `make chaos` is the long one.

Faults that strike the same place share its brokers, its workers and its load: setting them up takes longer than most faults.
"""

import random

import pytest

from tests.chaos.arena import PLACES, arena
from tests.chaos.load import poisoned
from tests.chaos.scenarios import SCENARIOS

SEED = 20261121
RATE = 100
WORKERS_AND_LINK = ("worker killed", "half-open link", "worker frozen", "cut link", "worker killed")
BROKERS = ("controller killed",)  # which leads partitions as the others do


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("where", "faults"),
    [
        pytest.param("behind a proxy", WORKERS_AND_LINK, id="workers"),
        pytest.param("three nodes", BROKERS, id="brokers"),
    ],
)
def test_nothing_is_lost_reordered_or_miscounted(where: str, faults: tuple[str, ...]) -> None:
    """Whatever fails, what came out is what went in, per key in order, and the table has counted each copy once."""
    chance = random.Random(SEED)

    with PLACES[where]("", None) as brokers, arena(brokers, entry=poisoned, rate=RATE) as here:
        for name in faults:
            here.suffer(SCENARIOS[name].strike, chance)
        found = here.finish()

    assert found.problems == []
    assert found.records > 0
    assert found.poisoned > 0
    assert here.faults == len(faults)
