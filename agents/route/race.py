"""The calls that are under way for one request at one moment: a model, and sometimes another one beside it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from agents.route.stream import TokenStream
from schemas.records import Outcome
from streams.circuit import Used, milliseconds, outcome
from streams.errors import HedgeLost, PipelineError, ProviderBusy, ProviderRefused, ProviderUnavailable, Transient
from streams.ports import Ask, Clock, Finish, Model

LINGER_S = 1.0  # that a cancelled call has to go
UNFINISHED = Finish(finish_reason="", input_tokens=0, output_tokens=0)


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One call of a model. `error` says how it failed; a call that `lost` was cancelled, since another spoke first."""

    model: Model
    ask: Ask
    started: datetime
    patience_s: float
    parts: list[str] = field(default_factory=list)
    first: datetime | None = None
    ended: datetime | None = None
    finish: Finish = UNFINISHED
    error: PipelineError | None = None
    lost: bool = False

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.spec.name

    @property
    def text(self) -> str:
        """What it has written."""
        return "".join(self.parts)

    @property
    def answered(self) -> bool:
        """Whether it came to its end, and well."""
        return self.ended is not None and self.error is None

    @property
    def latency_ms(self) -> float:
        """How long it took; 0 while it goes on."""
        return milliseconds(self.started, self.ended) if self.ended is not None else 0.0

    @property
    def ttft_ms(self) -> float:
        """Time to the first token; 0 before it."""
        return milliseconds(self.started, self.first) if self.first is not None else 0.0


class Race:
    """Calls of which one is heard: who writes first. The others are cancelled at that moment.

    Only the one that is heard writes to the token stream, in an epoch of its own. Every call is reported when it ends.
    """

    def __init__(
        self,
        stream: TokenStream,
        report: Callable[[Outcome], None],
        price: Callable[[Model, int, int], float],
        prompt_tokens: int,
        clock: Clock,
    ) -> None:
        self._stream = stream
        self._report = report
        self._price = price
        self._prompt_tokens = prompt_tokens
        self._clock = clock
        self._heard: Call | None = None
        self._first: Call | None = None
        self._under_way: dict[asyncio.Task[None], Call] = {}

    async def alone(self, call: Call) -> None:
        """Hear one model to its end."""
        self._begin(call)
        await self._listen(call)

    async def hedged(self, call: Call, after_s: float, other: Callable[[], Call | None]) -> Call | None:
        """Hear a model; when it has kept silent for so long, another one too, if there is one. Returns that other one."""
        self._begin(call)
        hedge: Call | None = None
        self._start(call)
        try:
            await asyncio.wait(self._under_way, timeout=after_s)
            if call.ended is None and self._heard is None and (hedge := other()) is not None:
                self._start(hedge)
            while self._under_way:
                done, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._under_way.pop(task)
                    if not task.cancelled():
                        task.result()
                if self._heard is not None and self._heard.ended is not None:
                    break
        finally:
            await self._dismiss()
        return hedge

    def _begin(self, call: Call) -> None:
        self._first = call
        self._stream.start()

    def _start(self, call: Call) -> None:
        self._under_way[asyncio.ensure_future(self._listen(call))] = call

    async def _dismiss(self) -> None:
        """Leave nothing running; a call that does not let itself be cancelled is left behind."""
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LINGER_S)

    async def _listen(self, call: Call) -> None:
        """Hear a model to its end; how it failed is noted in the call, and what is no failure of a model is raised."""
        error: PipelineError | None = None
        try:
            async with asyncio.timeout(call.patience_s):
                await self._drain(call)
        except TimeoutError:
            error = ProviderUnavailable(f"{call.name} did not end its answer within {call.patience_s:.1f} s")
        except (Transient, ProviderRefused) as failure:
            error = failure
        if not call.lost:
            self._end(call, error or _missing(call))

    async def _drain(self, call: Call) -> None:
        async for piece in call.model.stream(call.ask):
            if isinstance(piece, Finish):
                call.finish = piece
            elif piece.text and call.finish is UNFINISHED:
                self._hear(call)
                call.parts.append(piece.text)
                self._stream.token(piece.text)

    def _hear(self, call: Call) -> None:
        """Let the call be heard that writes first; the others have lost."""
        if self._heard is call:
            return
        if self._heard is not None:
            raise asyncio.CancelledError  # it was told to stop, and went on all the same
        self._heard = call
        call.first = self._clock.now()
        if call is not self._first:
            self._stream.start(call.started)
        for task, other in self._under_way.items():
            if other is not call and other.ended is None:
                task.cancel()
                other.lost = True
                self._end(other, HedgeLost(f"{call.name} spoke before {other.name}"))

    def _end(self, call: Call, error: PipelineError | None) -> None:
        call.ended, call.error = self._clock.now(), error
        if isinstance(error, ProviderBusy):
            return  # nobody was called
        self._report(
            outcome(
                call.name,
                started=call.started,
                ended=call.ended,
                request_id=call.ask.request_id,
                error=error,
                used=self._used(call),
            )
        )

    def _used(self, call: Call) -> Used:
        """Return what a call took. Where the provider has not said it, a prompt that was read and what was written."""
        if call.finish is not UNFINISHED:
            read, written = call.finish.input_tokens, call.finish.output_tokens
        else:
            written = call.model.tokenizer.count(call.text) if call.parts else 0
            read = self._prompt_tokens if call.parts or call.lost else 0
        return Used(
            ttft_ms=call.latency_ms if call.lost else call.ttft_ms,
            input_tokens=read,
            output_tokens=written,
            cost_usd=self._price(call.model, read, written),
        )


def _missing(call: Call) -> PipelineError | None:
    """Return what an answer that ended lacks."""
    if call.finish is UNFINISHED:
        return ProviderUnavailable(f"{call.name} stopped before the end of its answer")
    if not call.text.strip():
        return ProviderRefused(f"{call.name} answered with nothing ({call.finish.finish_reason})")
    return None
