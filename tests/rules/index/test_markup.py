"""The text of an HTML page."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.index.markup import plain_text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>Hi <b>the</b>re</p>", "\n\nHi there\n\n"),
        ("a<script>if (x<y) {}</script>b", "ab"),
        ("a<STYLE>p > b {}</style>b", "ab"),
        ("a<!-- <p>hidden</p> > -->b", "ab"),
        ("a<!-- open", "a"),
        ("<!DOCTYPE html>x", "x"),
        ("Tom &amp; Jerry &#x41; &bogus;", "Tom & Jerry A &bogus;"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("", ""),
    ],
)
def test_only_what_a_reader_sees_is_kept(page: str, text: str) -> None:
    assert plain_text(page) == text


@given(st.text(st.sampled_from("<>!-/&;aps ="), max_size=80))
def test_any_markup_is_read(page: str) -> None:
    assert isinstance(plain_text(page), str)


@given(st.text().filter(lambda text: "<" not in text and "&" not in text))
def test_text_without_markup_is_itself(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize("piece", ["<", "<!--", "<a ", "&", "<script>", "<p>", "-->", "</"])
def test_hostile_repetition_takes_time_in_proportion_to_its_length(piece: str) -> None:
    started = time.process_time()

    plain_text(piece * 100_000)

    assert time.process_time() - started < 10
