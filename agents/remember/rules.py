"""What is kept of a conversation, and what of it a request is told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from schemas.records import Command, CommandAction, Origin, Request, Result, Session, Status, Turn
from streams.settings import RememberSettings
from streams.topic import request_key, whose

LONGEST = 2_000  # characters of a question or an answer, see `Turn`
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_ANSWERED = frozenset({Status.OK, Status.DEGRADED})


def unheard(key: str) -> Session:
    """Return a conversation in which nothing was said."""
    tenant, session_id = whose(key)
    return Session(tenant=tenant, session_id=session_id, as_of=NEVER, counted={})


def subject(seen: Request | Result | Command) -> str | None:
    """Return the key of the conversation a record belongs to; None for one that belongs to none."""
    if isinstance(seen, Command):
        return seen.subject if seen.action is CommandAction.FORGET else None
    return request_key(seen.origin) if seen.origin.session_id is not None else None


def earlier(seen: Request | Result | Command, at: datetime) -> datetime:
    """Return the earlier of the clock and the time of a record: neither a replay nor a producer from the future forgets."""
    return min(at, seen.at if isinstance(seen, Command) else seen.origin.event_time)


def after(session: Session, seen: Request | Result, settings: RememberSettings) -> Session:
    """Return the conversation after a question or its answer."""
    if isinstance(seen, Request):
        return asked(session, seen.origin, seen.query, settings)
    return answered(session, seen)


def asked(session: Session, origin: Origin, query: str, settings: RememberSettings) -> Session:
    """Add a turn; one that is known is left alone, the oldest are dropped for it, all of them when they have expired."""
    if any(turn.request_id == origin.request_id for turn in session.turns):
        return session
    at = origin.event_time
    turn = Turn(request_id=origin.request_id, query=query[:LONGEST], answer="", at=at)
    kept = () if expired(session, at, settings) else session.turns
    return replace(session, turns=(*kept, turn)[-settings.turns :], as_of=max(session.as_of, at))


def answered(session: Session, result: Result) -> Session:
    """Fill in the answer of a turn; a request that got none leaves no turn behind."""
    request_id = result.origin.request_id
    if result.status not in _ANSWERED:
        return replace(session, turns=tuple(turn for turn in session.turns if turn.request_id != request_id))
    return replace(
        session,
        turns=tuple(
            replace(turn, answer=result.text[:LONGEST]) if turn.request_id == request_id else turn
            for turn in session.turns
        ),
    )


def told(session: Session | None, at: datetime, settings: RememberSettings) -> Sequence[Turn]:
    """Return the newest answered turns that fit, oldest first."""
    if session is None or expired(session, at, settings):
        return ()
    chosen: list[Turn] = []
    room = settings.history_chars
    for turn in reversed([turn for turn in session.turns if turn.answer]):
        room -= len(turn.query) + len(turn.answer)
        if room < 0 or len(chosen) == settings.history_turns:
            break
        chosen.append(turn)
    return tuple(reversed(chosen))


def expired(session: Session, at: datetime, settings: RememberSettings) -> bool:
    """Tell whether nothing was said for too long."""
    return at - session.as_of > timedelta(seconds=settings.expiry_s)
