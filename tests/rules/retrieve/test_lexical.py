"""BM25 over a handful of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.retrieve.lexical import bm25

WORDS = st.sampled_from(["whale", "ship", "sea", "ahab", "fog"])
TEXTS = st.lists(st.dictionaries(WORDS, st.integers(1, 9), max_size=5), max_size=6)


def test_a_rare_word_counts_more_than_one_that_all_texts_hold() -> None:
    common_only, rare_only = bm25({"ship", "ahab"}, [{"ship": 1, "fog": 1}, {"ship": 1, "ahab": 1}])

    assert rare_only > common_only > 0


def test_a_repeated_word_adds_ever_less_and_a_long_text_has_to_say_it_more_often() -> None:
    once, twice, long = bm25({"whale"}, [{"whale": 1, "fog": 9}, {"whale": 2, "fog": 8}, {"whale": 2, "fog": 98}])

    assert twice > once > long


def test_the_score_is_the_one_of_the_formula() -> None:
    """Two texts of one word each, one of them asked for: idf ln(1 + 1.5 / 1.5), k1 1.2, the usual length."""
    assert bm25({"whale"}, [{"whale": 1}, {"fog": 1}]) == [pytest.approx(1 / 2.2), 0.0]


@given(st.frozensets(WORDS), TEXTS)
def test_scores_are_0_to_1_one_per_text_and_the_same_every_time(
    asked: frozenset[str], texts: list[dict[str, int]]
) -> None:
    scores = bm25(asked, texts)

    assert len(scores) == len(texts)
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert scores == bm25(sorted(asked), [dict(reversed(text.items())) for text in texts])
