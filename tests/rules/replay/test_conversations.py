"""Conversations of a replay: told in one order, whatever the speed."""

from dataclasses import replace
from datetime import timedelta

from agents.remember import rules
from schemas.records import Result, Session, Status, TextQuery, Turn
from streams.settings import RememberSettings
from tests.given import NOON, a_request, a_result, a_text_query, an_origin
from topology.replay.conversations import Conversations
from topology.replay.flow import in_conversations
from topology.replay.history import Historical

SETTINGS = RememberSettings(turns=3, history_turns=3, history_chars=1000, expiry_s=3600)


def heard(
    number: int, *, session_id: str | None = "talk", status: Status = Status.OK, tenant: str = "default"
) -> Result:
    origin = replace(
        an_origin(f"r{number}", session_id=session_id, tenant=tenant), event_time=NOON + timedelta(seconds=number)
    )
    return replace(a_result(f"answer {number}", origin=origin), query=f"question {number}", status=status)


def historical(number: int, session_id: str | None, tenant: str = "default") -> Historical:
    query: TextQuery = a_text_query(origin=an_origin(f"r{number}", session_id=session_id, tenant=tenant))
    return Historical(position=number, at=NOON, key=b"k", record=query)


def told(
    conversations: Conversations, at_s: float = 10.0, session_id: str | None = "talk", tenant: str = "default"
) -> list[str]:
    origin = replace(an_origin("next", session_id=session_id, tenant=tenant), event_time=NOON + timedelta(seconds=at_s))
    return [turn.request_id for turn in conversations.before(origin)]


def test_a_question_is_told_every_answer_before_it_that_is_kept() -> None:
    conversations = Conversations(SETTINGS, {})
    for number in range(5):
        conversations.hear(heard(number))

    assert told(conversations) == ["r2", "r3", "r4"]
    assert told(conversations, session_id="other") == []
    assert told(conversations, session_id=None) == []


def test_two_tenants_whose_conversations_have_one_name_are_told_their_own_only() -> None:
    conversations = Conversations(SETTINGS, {})
    conversations.hear(heard(1, tenant="a"))
    conversations.hear(heard(2, tenant="b"))

    assert told(conversations, tenant="a") == ["r1"]
    assert told(conversations, tenant="b") == ["r2"]
    assert told(conversations) == []


def test_what_got_no_answer_leaves_no_turn_and_a_request_without_a_conversation_nothing() -> None:
    conversations = Conversations(SETTINGS, {})
    conversations.hear(heard(1, status=Status.FAILED))
    conversations.hear(heard(2, session_id=None))

    assert told(conversations) == []
    assert told(conversations, session_id="") == []


def test_it_keeps_what_stage_remember_keeps() -> None:
    """The same questions and answers, one after the other, through the rules of the stage."""
    conversations, kept = Conversations(SETTINGS, {}), rules.unheard("default#talk")
    for number in range(7):
        result = heard(number, status=Status.FAILED if number == 5 else Status.DEGRADED)
        request = replace(a_request(result.query), origin=result.origin)
        before = rules.told(kept, request.origin.event_time, SETTINGS)
        assert conversations.before(request.origin) == before
        for seen in (request, result):
            kept = rules.after(kept, seen, SETTINGS)
        conversations.hear(result)


def test_a_conversation_goes_on_from_its_seed_and_is_forgotten_when_it_was_silent_for_too_long() -> None:
    turn = Turn(request_id="before", query="q", answer="a", at=NOON)
    conversations = Conversations(
        SETTINGS, {"default#talk": Session(session_id="talk", turns=(turn,), as_of=NOON, counted={})}
    )

    conversations.expire(NOON + timedelta(seconds=3600))
    assert told(conversations) == ["before"]
    conversations.expire(NOON + timedelta(seconds=3601))
    assert told(conversations) == []


def test_requests_are_asked_conversation_by_conversation_each_in_its_order() -> None:
    sessions = ["a", None, "b", "a", None, "b", "a"]
    found = in_conversations(historical(number, session_id) for number, session_id in enumerate(sessions))

    assert [[request.position for request in one] for one in found] == [[0, 3, 6], [1], [2, 5], [4]]


def test_conversations_of_two_tenants_do_not_wait_for_each_other() -> None:
    found = in_conversations(historical(number, "talk", tenant) for number, tenant in enumerate("aabba"))

    assert [[request.position for request in one] for one in found] == [[0, 1, 4], [2, 3]]
