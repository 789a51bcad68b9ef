"""What becomes of a rating."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agents.rate import rules
from schemas.records import Rating, Status
from streams.errors import AnswerPending, AnswerUnknown, RecordInvalid
from streams.settings import RateSettings
from tests.given import NOON, a_rating, a_result, an_origin

SETTINGS = RateSettings(grace_s=30.0)
LONGEST_S = 3600.0
DEADLINE = an_origin().deadline


def test_a_rating_becomes_feedback_on_all_the_answer_rests_on_under_an_id_of_its_own() -> None:
    rating = a_rating(score=0.25, correction="Percy Shelley did not.")

    feedback = rules.feedback(rating, a_result(), NOON, SETTINGS)

    assert feedback is not None
    assert (feedback.reward, feedback.rating) == (0.25, rating)
    assert (feedback.context_pack_id, feedback.pack_version, feedback.chunk_ids) == ("pack-7", "3", ("frankenstein#0",))
    assert (feedback.query, feedback.model, feedback.cell) == ("Who wrote Frankenstein?", "first", "literary/analysis")
    again = rules.feedback(rating, a_result(), NOON + timedelta(hours=1), SETTINGS)
    other = rules.feedback(replace(rating, rating_id="rating-2"), a_result(), NOON, SETTINGS)
    assert again == feedback
    assert other is not None
    assert other.feedback_id != feedback.feedback_id


def test_a_rating_that_is_early_waits_until_its_answer_can_come_no_more() -> None:
    with pytest.raises(AnswerPending):
        rules.feedback(a_rating(), None, DEADLINE + timedelta(seconds=29), SETTINGS)

    with pytest.raises(AnswerUnknown, match="origin of the result"):
        rules.feedback(a_rating(), None, DEADLINE + timedelta(seconds=30), SETTINGS)


def test_where_nobody_answered_nothing_was_rated() -> None:
    rejected = replace(a_result(), status=Status.REJECTED, decision=None)

    assert rules.feedback(a_rating(), rejected, NOON, SETTINGS) is None


@pytest.mark.parametrize("rating", [a_rating(), a_rating(score=None, correction="No."), a_rating(score=0.0)])
def test_a_score_a_correction_or_both_are_a_rating(rating: Rating) -> None:
    rules.check(rating, LONGEST_S)


@pytest.mark.parametrize(
    ("rating", "problem"),
    [
        (a_rating(score=None), "a score or a correction is needed"),
        (a_rating(score=1.01), "score must be 0 to 1"),
        (a_rating(score=float("nan")), "score must be 0 to 1"),
        (a_rating(correction=" \n"), "correction must not be empty"),
        (a_rating(correction="x" * 20_001), "correction has 20,001 characters"),
        (a_rating(""), "rating_id must have 1 to 256 characters"),
        (a_rating(origin=replace(an_origin(), tenant="a#b")), "tenant must be 1 to 128"),
        (a_rating("x" * 257, score=-1.0), "not 257; score must be 0 to 1"),
    ],
)
def test_a_rating_that_says_nothing_is_refused_with_every_problem(rating: Rating, problem: str) -> None:
    with pytest.raises(RecordInvalid, match=problem):
        rules.check(rating, LONGEST_S)


def test_a_deadline_that_no_request_can_have_had_is_refused() -> None:
    latest = replace(an_origin(), deadline=NOON + timedelta(seconds=LONGEST_S))
    rules.check(a_rating(origin=latest), LONGEST_S)

    with pytest.raises(RecordInvalid, match="no request has more than 3,600 s"):
        rules.check(a_rating(origin=replace(latest, deadline=NOON.replace(year=2036))), LONGEST_S)
