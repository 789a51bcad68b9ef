"""Which ids were counted already."""

from hypothesis import given
from hypothesis import strategies as st

from streams.repeats import DIGEST, remembered, repeated


@given(st.lists(st.text(max_size=6), max_size=60), st.integers(1, 40))
def test_it_remembers_the_newest_and_no_more(ids: list[str], most: int) -> None:
    seen = ""
    for identity in ids:
        seen = remembered(seen, identity, most)

    assert len(seen) == DIGEST * min(len(ids), most)
    assert all(repeated(seen, identity) for identity in ids[-most:])
    assert not any(repeated(seen, identity) for identity in set(ids) - set(ids[-most:]))


def test_a_digest_that_lies_across_two_others_is_not_there() -> None:
    seen = remembered(remembered("", "a", 9), "b", 9)

    assert not repeated(seen[1:] + "x", "a")
    assert not repeated("", "a")
    assert repeated(seen, "b")


def test_ids_may_be_anything() -> None:
    assert repeated(remembered("", "\ud800", 1), "\ud800")
