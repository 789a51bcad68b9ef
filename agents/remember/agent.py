"""Wiring of remember."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.remember import rules
from schemas.records import Command, Origin, Request, Result, Session, Turn
from streams.app import App
from streams.emit import Emit
from streams.ports import Clock, History
from streams.settings import RememberSettings
from streams.tables import OwnedTable
from streams.topic import Topic, request_key


@dataclass(frozen=True, slots=True)
class Told:
    """The conversations as admit sees them: on the same worker, since a question has the key of its conversation."""

    sessions: OwnedTable[Session]
    settings: RememberSettings

    def before(self, origin: Origin) -> Sequence[Turn]:
        """Return the turns a request should know of; see `History`."""
        if origin.session_id is None:
            return ()
        return rules.told(self.sessions.get(request_key(origin)), origin.event_time, self.settings)


def attach(
    app: App,
    *,
    reads: Topic[Request],
    results: Topic[Result],
    commands: Topic[Command],
    clock: Clock,
    settings: RememberSettings,
) -> History:
    """Keep the conversations in a table; a command forgets one, and so does time."""
    sessions = app.owned_table("sessions", Session, rules.unheard)

    @app.stage(reads, results, commands, name="remember")
    def remember(seen: Request | Result | Command, _: Emit) -> None:
        now = rules.earlier(seen, clock.now())
        sessions.sweep(lambda session: rules.expired(session, now, settings), reads.partitions)
        conversation = rules.subject(seen)
        if conversation is None:
            return
        if isinstance(seen, Command):
            sessions.delete(conversation)
            return
        sessions.update(conversation, lambda session: rules.after(session, seen, settings))

    return Told(sessions, settings)
