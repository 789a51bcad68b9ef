"""Identifiers: sortable by time, stable for results."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import RANDOM_BYTES, result_id, uuid7

moments = st.integers(0, (1 << 48) - 1)
chances = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(moments, chances)
def test_a_uuid7_is_one(ms: int, chance: bytes) -> None:
    made = uuid.UUID(uuid7(ms, chance))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == ms


@given(moments, moments, chances, chances)
def test_uuid7s_sort_by_time(earlier: int, later: int, one: bytes, other: bytes) -> None:
    assert earlier == later or (earlier < later) == (uuid7(earlier, one) < uuid7(later, other))


def test_the_example_of_the_standard() -> None:
    """RFC 9562, appendix A.6: 2022-02-22 19:22:22 UTC, rand_a CC3, rand_b 18C4DC0C0C07398F."""
    chance = (0xCC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(RANDOM_BYTES, "big")

    assert uuid7(0x017F22E279B0, chance) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize(("ms", "size"), [(-1, 10), (1 << 48, 10), (0, 9), (0, 11)])
def test_what_does_not_fit_is_refused(ms: int, size: int) -> None:
    with pytest.raises(ValueError, match="48 bits of milliseconds and 10 random bytes"):
        uuid7(ms, bytes(size))


def test_a_request_has_one_result_id() -> None:
    """The same in every process and version: written here once and for all."""
    assert result_id("request-1") == "924d9870-ddbc-51ea-b687-8d20469203ec"
    assert result_id("request-1") != result_id("request-2")
