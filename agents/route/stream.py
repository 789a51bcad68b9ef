"""The token events of one request: sent in buffers that grow from one token, never later than a fixed time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from schemas.records import Prompt, StreamStats, TokenEvent, TokenEventType
from streams.canary import certain, gives_away
from streams.circuit import milliseconds
from streams.errors import AnswerWithheld
from streams.ports import Clock
from streams.settings import RouteSettings


@dataclass(slots=True, kw_only=True)
class _Epoch:
    """What has been written of one attempt."""

    number: int
    started: datetime
    flushed: datetime
    first: datetime | None = None
    sequence: int = 0
    pieces: int = 0
    room: int = 1
    buffer: list[str] = field(default_factory=list)
    withheld: bool = False


def _by_nobody(_epoch: int, _text: str) -> None:
    """Nobody listens beside the readers of the topic."""


class TokenStream:
    """What a reader of the topic `tokens` sees of a request.

    Every attempt is an epoch that begins with `stream_start`. The stream ends with `stream_complete`, or with `error`
    when its request leaves the stage without an answer, or with one that gives the instructions away: what could become
    the canary of the prompt is kept back until it is clear that it does not, and after it nothing is shown. A redelivered
    request begins with the first epoch that no earlier delivery has used, so that its tokens replace theirs. `heard` is told
    each token with its epoch, as the model writes it.
    """

    def __init__(
        self,
        prompt: Prompt,
        send: Callable[[TokenEvent], None],
        clock: Clock,
        settings: RouteSettings,
        *,
        first_epoch: int = 0,
        heard: Callable[[int, str], None] = _by_nobody,
    ) -> None:
        self._origin = prompt.origin
        self._canary = prompt.canary
        self._first_epoch = first_epoch
        self._send = send
        self._heard = heard
        self._clock = clock
        self._settings = settings
        self._flush_after = timedelta(milliseconds=settings.flush_ms)
        self._epoch: _Epoch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_timer()
        if not self._ended:
            self._ended = True
            self._write(self._current(), TokenEventType.ERROR, getattr(error, "code", "interrupted"))

    @property
    def ttft_ms(self) -> float:
        """Time from the start of the epoch to its first token; 0 before it."""
        epoch = self._current()
        return milliseconds(epoch.started, epoch.first) if epoch.first is not None else 0.0

    @property
    def epochs(self) -> int:
        """The first epoch that is not used yet."""
        return self._first_epoch if self._epoch is None else self._epoch.number + 1

    def start(self, began: datetime | None = None) -> None:
        """Begin an attempt; it replaces what earlier ones have written. `began` is when its model was asked, if not now."""
        self._stop_timer()
        self._epoch = self._new(self.epochs, began)
        self._write(self._epoch, TokenEventType.STREAM_START, "")

    def token(self, text: str) -> None:
        """Take what the model has just written."""
        epoch, now = self._current(), self._clock.now()
        self._heard(epoch.number, text)
        epoch.first = epoch.first or now
        epoch.pieces += 1
        if epoch.withheld:
            return
        epoch.buffer.append(text)
        waited = now - epoch.flushed
        if len(epoch.buffer) >= epoch.room or waited >= self._flush_after:
            self._flush()
        elif self._timer is None:
            delay_s = (self._flush_after - waited).total_seconds()
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._flush)

    def complete(self) -> None:
        """End the stream with what is still buffered."""
        self._flush(whole=True)
        self._ended = True
        if self._current().withheld:
            self._write(self._current(), TokenEventType.ERROR, AnswerWithheld.code)
        else:
            self._write(self._current(), TokenEventType.STREAM_COMPLETE, "")

    def whole(self, text: str) -> None:
        """Write an answer that is known already; it replaces whatever had been written of it."""
        self.start()
        self.token(text)
        self.complete()

    def _current(self) -> _Epoch:
        if self._epoch is None:
            self._epoch = self._new(self.epochs)
        return self._epoch

    def _new(self, number: int, began: datetime | None = None) -> _Epoch:
        now = self._clock.now()
        return _Epoch(number=number, started=began or now, flushed=now)

    def _flush(self, *, whole: bool = False) -> None:
        self._stop_timer()
        epoch = self._current()
        text = "".join(epoch.buffer)
        epoch.buffer.clear()
        epoch.flushed = self._clock.now()
        epoch.room = min(2 * epoch.room, self._settings.flush_tokens)
        if gives_away(text, self._canary):
            epoch.withheld = True
            return
        shown = len(text) if whole else certain(text, self._canary)
        if text[shown:]:
            epoch.buffer.append(text[shown:])
        if text[:shown]:
            self._write(epoch, TokenEventType.TOKEN, text[:shown])

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self, epoch: _Epoch, kind: TokenEventType, content: str) -> None:
        now = self._clock.now()
        event = TokenEvent(
            origin=self._origin,
            type=kind,
            session_id=self._origin.session_id or self._origin.request_id,
            content=content,
            epoch=epoch.number,
            sequence=epoch.sequence,
            stats=self._stats(epoch, now),
            timestamp=now,
        )
        epoch.sequence += 1
        self._send(event)

    def _stats(self, epoch: _Epoch, now: datetime) -> StreamStats | None:
        if epoch.first is None:
            return None
        seconds = milliseconds(epoch.first, now) / 1000.0
        return StreamStats(tps=epoch.pieces / seconds if seconds > 0 else 0.0, ttft_ms=self.ttft_ms)
