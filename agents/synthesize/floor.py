"""Who may speak: in every conversation the newest turn, and within it one request after the other."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from schemas.records import SpeechRequest, SpokenTurn
from streams.emit import Emit
from streams.tables import OwnedTable
from streams.topic import request_key

CONVERSATIONS = 10_000  # whose newest turn is remembered while nobody speaks


class Conversation:
    """The newest turn of one conversation, and the end of the newest request."""

    def __init__(self) -> None:
        self.turn = -1
        self.newest: asyncio.Future[None] | None = None


class Floor:
    """The conversations of this worker. The newest turn of each outlives it: a worker that comes after speaks for no older one."""

    def __init__(self, turns: OwnedTable[SpokenTurn]) -> None:
        self._turns = turns
        self._conversations: OrderedDict[str, Conversation] = OrderedDict()

    def __len__(self) -> int:
        """Count the conversations remembered."""
        return len(self._conversations)

    async def taken(self, request: SpeechRequest, emit: Emit) -> bool:
        """Wait for the requests of the same turn before this one. False when a newer turn has begun meanwhile."""
        conversation = self._conversation(request_key(request.origin))
        conversation.turn = max(conversation.turn, self._known(request))
        if request.turn < conversation.turn:
            return False
        conversation.turn = request.turn
        self._note(request)
        before, conversation.newest = conversation.newest, asyncio.get_running_loop().create_future()
        emit.at_end(_ending(conversation, conversation.newest))
        if before is not None:
            await asyncio.wait([before])
        return self.has(request)

    def has(self, request: SpeechRequest) -> bool:
        """Whether the request may still speak."""
        conversation = self._conversations.get(request_key(request.origin))
        return conversation is not None and conversation.turn == request.turn

    def _known(self, request: SpeechRequest) -> int:
        origin = request.origin
        known = self._turns.get(request_key(origin)) if origin.session_id is not None else None
        return -1 if known is None else known.turn

    def _note(self, request: SpeechRequest) -> None:
        """Remember the turn for those who come after; a request without a conversation has nobody before it."""
        origin = request.origin
        if origin.session_id is not None:
            self._turns.update(
                request_key(origin), lambda known: replace(known, turn=request.turn, as_of=origin.event_time)
            )

    def _conversation(self, key: str) -> Conversation:
        found = self._conversations.get(key)
        if found is None:
            found = self._conversations[key] = Conversation()
            if len(self._conversations) > CONVERSATIONS:
                quiet = next(
                    (old for old, one in self._conversations.items() if one.newest is None and old != key), None
                )
                if quiet is not None:
                    del self._conversations[quiet]
        self._conversations.move_to_end(key)
        return found


def _ending(conversation: Conversation, ended: "asyncio.Future[None]") -> Callable[[bool], None]:
    def end(_done: bool) -> None:  # noqa: FBT001 - `Emit.at_end` calls it so
        ended.set_result(None)
        if conversation.newest is ended:
            conversation.newest = None

    return end
