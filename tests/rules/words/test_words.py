"""Words, numbers and sentences."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.words import content_words, numbers, sentences, words


def test_inflections_of_a_word_are_one_word() -> None:
    assert words("rises rise rising") == words("rise") * 3
    assert words("Shelley's stories") == words("shelley story")


def test_a_number_is_the_same_with_and_without_grouping_commas() -> None:
    assert numbers("1,000 dollars") == numbers("1000 dollars")
    assert words("1,000") == words("1000")
    assert numbers("3.5") != numbers("35")


def test_words_without_meaning_are_left_out() -> None:
    assert content_words("What is the capital of France?") == {"capital", "franc"}


def test_a_script_without_spaces_is_compared_by_pairs_of_characters() -> None:
    assert content_words("東京") & content_words("東京は日本の首都です")


def test_a_full_stop_of_an_abbreviation_ends_no_sentence() -> None:
    assert sentences("Dr. Frankenstein left. He was alone.") == ["Dr. Frankenstein left. ", "He was alone."]


@given(st.text())
def test_sentences_joined_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


@given(st.text())
def test_every_text_has_words(text: str) -> None:
    assert all(words(text))
    assert content_words(text) <= set(words(text))


@pytest.mark.parametrize("piece", ["a. ", ".", ".)", "1,", "a'", "\u3002", "\u6771", " ", "\n", "x"])
def test_hostile_repetition_takes_time_in_proportion_to_its_length(piece: str) -> None:
    """A quadratic pattern would take hours for this text."""
    text = piece * 100_000
    started = time.process_time()

    sentences(text)
    words(text)
    numbers(text)

    assert time.process_time() - started < 10
