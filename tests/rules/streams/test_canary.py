"""The canary in whole and in unfinished texts."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.canary import certain, gives_away

CANARY = "ember-0123456789ab"
# Letters of the canary among others, so that beginnings of it are met at all.
TEXTS = st.lists(st.sampled_from([*CANARY, "ember", "EMB", " ", "-", "x", "é", "ß", "0123"]), max_size=40).map("".join)


def shown(pieces: list[str]) -> str:
    """Show a text as it comes, until the canary stands in what is kept back."""
    out, kept = "", ""
    for piece in pieces:
        kept += piece
        if gives_away(kept, CANARY):
            return out
        ready = certain(kept, CANARY)
        out, kept = out + kept[:ready], kept[ready:]
    return out + kept


@given(TEXTS, st.lists(st.integers(min_value=0, max_value=120), max_size=12))
def test_however_a_text_is_cut_all_of_it_is_shown_or_none_of_its_canary(text: str, cuts: list[int]) -> None:
    at = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[begin:end] for begin, end in pairwise(at)]

    seen = shown(pieces)

    if gives_away(text, CANARY):
        assert text.startswith(seen)
        assert certain(seen, CANARY) == len(seen), "not even its beginning"
    else:
        assert seen == text


@given(TEXTS, TEXTS)
def test_what_is_certain_is_no_part_of_a_canary_that_comes(before: str, after: str) -> None:
    if gives_away(before, CANARY):
        return
    kept = before[certain(before, CANARY) :]

    assert gives_away(before + after, CANARY) == gives_away(kept + after, CANARY)


def test_spelling_does_not_hide_it() -> None:
    assert gives_away("E.M.B.E.R 0123 4567_89AB", CANARY)
    assert not gives_away("ember-0123456789a", CANARY)
