"""The conversations of one variant: what `remember` keeps of them, but told in an order that is the same every time.

Live, a question that follows another at once may or may not be told of its answer. Here it always is: a conversation asks
one question after the other, and an answer is heard before the next question is fed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from agents.remember import rules
from schemas.records import Origin, Result, Session, Turn
from streams.settings import RememberSettings
from streams.topic import request_key


class Conversations:
    """A `History` of a replay.

    Args:
        settings: how much is kept and told, and for how long.
        seed: what was said before the first request, by key of the conversation.
    """

    def __init__(self, settings: RememberSettings, seed: Mapping[str, Session]) -> None:
        self._settings = settings
        self._sessions = dict(seed)

    def before(self, origin: Origin) -> Sequence[Turn]:
        """Return the turns a request should know of; see `History`."""
        if origin.session_id is None:
            return ()
        return rules.told(self._sessions.get(request_key(origin)), origin.event_time, self._settings)

    def hear(self, result: Result) -> None:
        """Add a question and its answer; a request that got none leaves no turn behind."""
        if result.origin.session_id is None:
            return
        key = request_key(result.origin)
        session = self._sessions.get(key) or rules.unheard(key)
        asked = rules.asked(session, result.origin, result.query, self._settings)
        self._sessions[key] = rules.answered(asked, result)

    def expire(self, at: datetime) -> None:
        """Forget conversations in which nothing was said for too long."""
        over = [key for key, session in self._sessions.items() if rules.expired(session, at, self._settings)]
        for key in over:
            del self._sessions[key]
