"""Times to the first token, one letter each."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import pace


@given(st.floats(1.0, pace.LONGEST_MS))
def test_a_time_is_remembered_to_a_fifth_and_never_too_short(ms: float) -> None:
    (known,) = {pace.p95_ms(pace.letter(ms) * pace.ENOUGH)}

    assert known is not None
    assert ms * (1 - 1e-6) <= known <= ms * pace.RATIO * (1 + 1e-6)


@given(st.lists(st.floats(1.0, 1e6), min_size=pace.ENOUGH, max_size=60))
def test_95_of_100_are_not_slower(times: list[float]) -> None:
    usual = pace.p95_ms("".join(map(pace.letter, times)))

    assert usual is not None
    assert sum(ms <= usual * (1 + 1e-6) for ms in times) >= math.ceil(0.95 * len(times))


@pytest.mark.parametrize("ms", [0.0, -5.0, 1e-9, math.inf, 1e300])
def test_any_number_has_a_letter_that_can_be_printed(ms: float) -> None:
    assert pace.letter(ms).isprintable()


def test_few_calls_say_nothing() -> None:
    assert pace.p95_ms("!" * (pace.ENOUGH - 1)) is None
    assert pace.p95_ms("") is None
