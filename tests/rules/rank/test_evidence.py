"""Whether a lead is luck: what the stakes of bets say."""

from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.rank import evidence

SPREAD = 0.2


def pairs(leads: list[float]) -> list[float]:
    """Return the strength after every pair."""
    stakes: tuple[float, ...] = ()
    found = []
    for lead in leads:
        stakes = evidence.grown(stakes, lead, spread=SPREAD, worst=1.0)
        found.append(evidence.strength(stakes))
    return found


def test_before_the_first_pair_nothing_is_known() -> None:
    assert evidence.strength(()) == 1.0


def test_a_lead_that_lasts_becomes_evidence_and_a_large_one_sooner() -> None:
    small, large = pairs([0.05] * 400), pairs([0.3] * 400)

    first = [next(n for n, strength in enumerate(one) if strength > 100) for one in (small, large)]
    assert first[1] < first[0] / 2


@pytest.mark.parametrize("lead", [0.0, -0.1, -1.0])
def test_who_never_leads_proves_nothing(lead: float) -> None:
    assert max(pairs([lead] * 100)) <= 1.0


def test_equals_seem_better_once_in_a_hundred_pairs_or_less() -> None:
    """The promise of an e-detector: 1/a pairs to the first false alarm at level a, on average; here for a = 0.01."""
    chance = Random(7)
    runs = [first_alarm([chance.uniform(-0.35, 0.35) for _ in range(2000)]) for _ in range(60)]

    assert fmean(runs) > 100


def first_alarm(leads: list[float]) -> int:
    return next((n for n, strength in enumerate(pairs(leads), start=1) if strength >= 100), len(leads))


def test_what_was_lost_is_forgotten() -> None:
    """A model that was worse for long proves itself as fast as one nobody knows."""
    after_loss = pairs([-0.2] * 200 + [0.2] * 50)[200:]

    assert after_loss[-1] == pytest.approx(pairs([0.2] * 50)[-1], rel=0.6)


def test_spread_is_guessed_while_little_is_known() -> None:
    assert evidence.variance(()) == pytest.approx(0.15**2)
    assert evidence.variance([0.5] * 1000) == pytest.approx(0.02**2)
    assert evidence.variance([0.0, 1.0] * 500) == pytest.approx(0.25, rel=0.01)


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0.02, 0.5), st.floats(0, 1)), max_size=200),
)
def test_stakes_stay_within_bounds_whatever_comes(history: list[tuple[float, float, float]]) -> None:
    stakes: tuple[float, ...] = ()
    for lead, spread, worst in history:
        stakes = evidence.grown(stakes, lead, spread=spread, worst=worst)
        assert all(0.0 < stake <= evidence.MOST for stake in stakes)
