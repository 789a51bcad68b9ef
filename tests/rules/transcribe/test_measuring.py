"""What the measurement of hearing makes of clips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.hearing_curve import Heard, bins, expected_error, fitted, word_errors
from tests.benchmarks.hearing_speech import CLEAN

HEARD = st.builds(
    Heard,
    voice=st.just("a voice"),
    condition=st.just(CLEAN),
    errors=st.integers(0, 12),
    words=st.integers(1, 12),
    confidence=st.floats(0.01, 0.99),
)


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("It was the best of times,", "it was, the best of times.", 0),
        ("It was the best", "it was best", 1),
        ("It was the best", "it was the very worst", 2),
        ("The captain\u2019s leg", "the captain's leg", 0),
        ("Nobody speaks here", "", 3),
    ],
)
def test_words_are_compared_without_case_and_punctuation(said: str, heard: str, errors: int) -> None:
    assert word_errors(said, heard)[0] == errors


@given(st.lists(HEARD, min_size=1, max_size=60))
def test_a_fitted_curve_rises_in_confidence_and_never_falls_in_what_is_right(heard: list[Heard]) -> None:
    raw, right = zip(*fitted(heard), strict=True)

    assert (raw[0], raw[-1]) == (0.0, 1.0)
    assert list(raw) == sorted(set(raw))
    assert list(right) == sorted(right)


def test_a_confidence_that_is_what_happens_has_no_calibration_error() -> None:
    heard = [Heard("a voice", CLEAN, errors, 10, 1 - errors / 10) for errors in range(1, 10)]

    assert expected_error(bins(heard, lambda raw: raw)) == pytest.approx(0.0)
    assert expected_error(bins(heard, lambda raw: raw / 2)) == pytest.approx(0.25)
