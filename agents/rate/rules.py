"""What becomes of a rating."""

import math
from datetime import datetime, timedelta

from schemas.records import Feedback, Rating, Result
from streams import ids
from streams.errors import AnswerPending, AnswerUnknown, RecordInvalid
from streams.feedback import rated
from streams.settings import RateSettings

LONGEST_ID = 256
LONGEST_CORRECTION = 20_000


def check(rating: Rating, max_deadline_s: float) -> None:
    """Refuse a rating that says nothing, or something that cannot be. No request that was answered had a later deadline.

    Raises:
        RecordInvalid: with all problems.
    """
    problems = list(ids.origin_problems(rating.origin))
    if not 1 <= len(rating.rating_id) <= LONGEST_ID:
        problems.append(f"rating_id must have 1 to {LONGEST_ID} characters, not {len(rating.rating_id):,}")
    if rating.score is not None and not (math.isfinite(rating.score) and 0.0 <= rating.score <= 1.0):
        problems.append(f"score must be 0 to 1, not {rating.score:g}")
    if rating.score is None and rating.correction is None:
        problems.append("a score or a correction is needed, or both")
    if rating.correction is not None and not rating.correction.strip():
        problems.append("correction must not be empty; leave it out instead")
    if rating.correction is not None and len(rating.correction) > LONGEST_CORRECTION:
        problems.append(f"correction has {len(rating.correction):,} characters, more than {LONGEST_CORRECTION:,}")
    allowed_s = (rating.origin.deadline - rating.origin.event_time).total_seconds()
    if allowed_s > max_deadline_s:
        problems.append(
            f"deadline is {allowed_s:,.0f} s after event_time; no request has more than {max_deadline_s:,.0f} s"
        )
    if problems:
        raise RecordInvalid("; ".join(problems))


def feedback(rating: Rating, result: Result | None, now: datetime, settings: RateSettings) -> Feedback | None:
    """Return what DataForge learns; None when the request ended without an answer, so that nothing was rated.

    Raises:
        AnswerPending: there is no result yet, and there may be one.
        AnswerUnknown: there will be none.
    """
    if result is None:
        request_id = rating.origin.request_id
        if now - rating.origin.deadline < timedelta(seconds=settings.grace_s):
            raise AnswerPending(f"request {request_id} was rated and has no result yet")
        raise AnswerUnknown(
            f"request {request_id} was rated and has no result; a rating must carry the origin of the result as it is",
            context={"rating_id": rating.rating_id, "request_id": request_id},
        )
    return None if result.decision is None else rated(result, result.decision, rating)
