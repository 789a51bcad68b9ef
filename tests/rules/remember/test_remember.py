"""What is kept of a conversation, and for how long."""

from dataclasses import replace
from datetime import datetime, timedelta

from agents.remember import rules
from schemas.records import Command, CommandAction, Request, Session, Turn
from streams.settings import RememberSettings
from tests.given import NOON, a_request, an_origin

SETTINGS = RememberSettings(turns=3, history_turns=2, history_chars=100, expiry_s=3600)


def a_turn(number: int, answer: str = "a") -> Turn:
    return Turn(request_id=f"r{number}", query=f"q{number}", answer=answer, at=NOON)


def a_session(*turns: Turn) -> Session:
    return Session(session_id="talk", turns=turns, as_of=NOON, counted={})


def test_the_newest_turns_are_kept() -> None:
    session = a_session()
    for number in range(5):
        request = a_request("x" * 3_000, origin=an_origin(f"r{number}", session_id="talk"))
        session = rules.after(session, request, SETTINGS)

    assert [turn.request_id for turn in session.turns] == ["r2", "r3", "r4"]
    assert {len(turn.query) for turn in session.turns} == {2_000}


def test_a_request_is_told_the_newest_answered_turns_that_fit_oldest_first() -> None:
    session = a_session(a_turn(1), a_turn(2), a_turn(3, "x" * 60), a_turn(4, "x" * 60), a_turn(5, ""))

    assert [turn.request_id for turn in rules.told(session, NOON, SETTINGS)] == ["r4"]
    assert [turn.request_id for turn in rules.told(a_session(a_turn(1), a_turn(2), a_turn(3)), NOON, SETTINGS)] == [
        "r2",
        "r3",
    ]


def test_a_conversation_that_was_silent_for_too_long_is_over() -> None:
    session, later = a_session(a_turn(1)), NOON + timedelta(seconds=3601)

    assert rules.told(session, later, SETTINGS) == ()
    assert rules.expired(session, later, SETTINGS)
    assert not rules.expired(session, NOON + timedelta(seconds=3600), SETTINGS)


def test_neither_a_replay_nor_a_producer_from_the_future_makes_conversations_expire() -> None:
    past, future = NOON - timedelta(days=9), NOON + timedelta(days=9)

    def asked(at: datetime) -> Request:
        return replace(a_request(), origin=replace(an_origin(), event_time=at))

    order = Command(
        command_id="c", subject="talk", action=CommandAction.FORGET, issued_by="tests", reason="asked to", at=future
    )
    assert rules.earlier(asked(future), NOON) == NOON
    assert rules.earlier(asked(past), NOON) == past
    assert rules.earlier(order, NOON) == NOON
