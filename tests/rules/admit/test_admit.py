"""What a query must be to be admitted."""

import dataclasses
import unicodedata
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.admit.rules import admitted
from schemas.records import Domain, Origin, Request, Strategy, Task, TextQuery
from streams.errors import RequestInvalid
from streams.settings import AdmitSettings
from tests.given import NOON, a_text_query, an_origin

SETTINGS = AdmitSettings()


def problems(query: TextQuery) -> tuple[str, ...]:
    with pytest.raises(RequestInvalid) as refused:
        admitted(query, SETTINGS)
    return refused.value.problems


def test_defaults_are_filled_in() -> None:
    request = admitted(a_text_query(), SETTINGS)

    assert (request.domain, request.task, request.strategy) == (Domain.GENERAL, Task.ANALYSIS, None)
    assert (request.temperature, request.max_tokens, request.risk) == (0.0, 256, 0.0)


def test_what_was_asked_for_is_kept() -> None:
    asked = dataclasses.replace(
        a_text_query(),
        domain="market",
        task="reasoning",
        strategy="cost_optimized",
        model="smollm2",
        context_pack_id="pack-7",
        temperature=1.5,
        max_tokens=4096,
        strict=True,
        speak=True,
    )

    request = admitted(asked, SETTINGS)

    assert (request.domain, request.task, request.strategy) == (Domain.MARKET, Task.REASONING, Strategy.COST_OPTIMIZED)
    assert (request.model, request.context_pack_id, request.strict, request.speak) == ("smollm2", "pack-7", True, True)


def test_every_problem_is_listed() -> None:
    asked = dataclasses.replace(
        a_text_query("   "), domain="astrology", task="prophecy", temperature=7.0, max_tokens=0, strategy="luck"
    )

    assert len(problems(asked)) == 6


def test_the_text_is_composed_and_changed_in_no_other_way() -> None:
    text = "  Cafe\u0301:\t\u201cquoted\u201d\r\n\u200f\u05e9 \U0001f468\u200d\U0001f469\u200d\U0001f467 "

    assert admitted(a_text_query(text), SETTINGS).query == text.replace("e\u0301", "\u00e9")


def test_length_is_counted_after_composition() -> None:
    decomposed = "e\u0301" * SETTINGS.max_query_chars

    assert len(admitted(a_text_query(decomposed), SETTINGS).query) == SETTINGS.max_query_chars
    assert "5,001 characters" in problems(a_text_query("x" * 5001))[0]


@pytest.mark.parametrize("text", ["", " ", "\u200b\u200d", "\ufeff", "\n\t", "\u00a0\u2003", "\u00ad"])
def test_a_query_without_a_visible_character_is_refused(text: str) -> None:
    assert problems(a_text_query(text)) == ("query has no visible character",)


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u202e", "\u202a", "\u2066", "\u2069"])
def test_a_control_character_is_named_with_its_position(character: str) -> None:
    (problem,) = problems(a_text_query(f"pay{character}load"))

    assert f"U+{ord(character):04X} at position 3" in problem


def test_text_hidden_in_tag_characters_is_refused_and_flags_are_not() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    scotland = "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbsct") + "\U000e007f"

    assert "U+E006F" in problems(a_text_query("hello" + hidden))[0]
    assert admitted(a_text_query(scotland), SETTINGS).query == scotland


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), -0.1, 2.1, -float("inf")])
def test_a_temperature_out_of_range_is_refused(temperature: float) -> None:
    assert "temperature" in problems(dataclasses.replace(a_text_query(), temperature=temperature))[0]


@pytest.mark.parametrize("max_tokens", [0, -1, 4097, 2**62])
def test_a_number_of_tokens_out_of_range_is_refused(max_tokens: int) -> None:
    assert "max_tokens" in problems(dataclasses.replace(a_text_query(), max_tokens=max_tokens))[0]


@pytest.mark.parametrize(
    "wrong", ["", " ", "-", "a b", "x" * 129, "../etc", "r\u00e9", "a\n", "1;drop", "a#b", "\x00", "\x00" * 100_000]
)
def test_what_does_not_look_like_an_id_is_refused(wrong: str) -> None:
    """Every text of the origin is an id: a new one is checked from its first day."""
    of_origin = [field.name for field in dataclasses.fields(Origin) if field.name not in {"event_time", "deadline"}]
    ids: dict[str, Any] = dict.fromkeys(of_origin, wrong)
    origin = dataclasses.replace(an_origin(), **ids)
    asked = dataclasses.replace(a_text_query(origin=origin), context_pack_id=wrong, model=wrong)

    found = problems(asked)

    assert {problem.split(" ", 1)[0] for problem in found} == {*of_origin, "context_pack_id", "model"}
    assert len(of_origin) == 7
    assert len(found) == 9
    assert all(problem.isascii() and len(problem) < 300 for problem in found)


@pytest.mark.parametrize("wrong", ["", "e", "english please", "en_US", "en-", "\x00" * 100_000])
def test_a_language_that_is_no_tag_is_refused(wrong: str) -> None:
    (problem,) = problems(dataclasses.replace(a_text_query(), language=wrong))

    assert problem.startswith("language must be a BCP 47 tag")
    assert len(problem) < 300


@pytest.mark.parametrize(
    "usual",
    [
        "0192d3a1-7b1c-7def-8123-456789abcdef",
        "user@example.org",
        "meta-llama/Llama-3.1",
        "urn:x:1",
        "aGk+/=",
        "_1",
        "auth0|5f7c8ec7c33c6c004bbafe82",
    ],
)
def test_usual_ids_are_taken(usual: str) -> None:
    asked = dataclasses.replace(a_text_query(origin=an_origin(usual, session_id=usual)), model=usual)

    assert admitted(asked, SETTINGS).model == usual


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 86_401.0, 10**9])
def test_a_deadline_before_the_event_or_absurdly_late_is_refused(seconds: float) -> None:
    origin = dataclasses.replace(an_origin(), deadline=NOON + timedelta(seconds=seconds))

    assert "deadline" in problems(a_text_query(origin=origin))[0]


def judged(query: TextQuery) -> Request | tuple[str, ...]:
    try:
        return admitted(query, SETTINGS)
    except RequestInvalid as refused:
        return refused.problems


@given(st.text(max_size=300))
def test_any_text_is_admitted_composed_or_refused_with_reasons(text: str) -> None:
    outcome = judged(a_text_query(text))

    if isinstance(outcome, Request):
        assert outcome.query == unicodedata.normalize("NFC", text)
    else:
        assert outcome


@given(st.builds(TextQuery, origin=st.just(an_origin()), query=st.text(max_size=50), domain=st.none() | st.text()))
def test_nothing_but_a_list_of_problems_is_raised(query: TextQuery) -> None:
    judged(query)
