import random
from math import sqrt

import pytest

from topology.replay.intervals import mean_of, t_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (100, 1.984), (100_000, 1.960)]
)
def test_quantiles_are_those_of_students_table(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, rel=0.003)


def test_a_mean_has_the_textbook_interval() -> None:
    values = [0.1, 0.2, 0.3, 0.4, 0.5]

    found = mean_of(5, sum(values), sum(value * value for value in values))

    half = 2.776 * sqrt(0.025 / 5)
    assert found.mean == pytest.approx(0.3)
    assert found.low == pytest.approx(0.3 - half, abs=0.001)
    assert found.high == pytest.approx(0.3 + half, abs=0.001)


def test_few_values_have_no_interval_and_none_have_no_mean() -> None:
    assert (mean_of(4, 2.0, 1.0).low, mean_of(4, 2.0, 1.0).decided) == (None, False)
    assert mean_of(0, 0.0, 0.0).count == 0


def test_equal_values_have_an_interval_of_no_width_in_spite_of_rounding() -> None:
    found = mean_of(1000, 1000 * 0.1, 1000 * 0.1 * 0.1)

    assert found.low == pytest.approx(found.high)
    assert found.decided


def test_the_interval_holds_the_truth_in_about_95_of_100_samples() -> None:
    chance = random.Random(20261121)
    held = 0
    for _ in range(1000):
        values = [chance.random() for _ in range(12)]
        found = mean_of(12, sum(values), sum(value * value for value in values))
        held += found.low is not None and found.high is not None and found.low <= 0.5 <= found.high

    assert 925 <= held <= 975
