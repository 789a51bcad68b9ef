"""Delivering records to another system: in order per key, several calls at a time, many records in one call, for as long as it takes.

A record keeps its place from the moment its handler asks until nothing more will be tried with it, so one that waits for its next try
is not overtaken by those behind it; records of other keys go on. While the circuit keeps calls back a single record comes back to
look, and all others rest without waking, however long that is: the topic they are read from is the buffer.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from schemas.records import CircuitState, Effect, EffectState, Origin, Outcome
from streams.circuit import Gate, outcome
from streams.emit import Emit
from streams.errors import Permanent, PipelineError, Transient
from streams.ports import Clock, EffectMemory
from streams.topic import Topic


class Deliverable(Protocol):
    """A record of a request."""

    @property
    def origin(self) -> Origin:
        """Who asked."""


R = TypeVar("R", bound=Deliverable)
R_contra = TypeVar("R_contra", bound=Deliverable, contravariant=True)
Fate = PipelineError | None
MOST_ALONE = 20  # failures of one record after each of which others were taken


class Sink(Protocol[R_contra]):
    """The client of the other system."""

    def deliver(self, batch: Sequence[R_contra]) -> Coroutine[Any, Any, Sequence[Fate]]:
        """Make one call, or the few that belong together; return what became of each record: None when it was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver(Generic[R]):
    """The other system.

    Args:
        dependency: name of its circuit.
        sink: its client.
        unavailable: its transient error.
        refused: its permanent error, also for a record that alone fails again and again.
        most_records: of one call.
        parallel: calls under way at once.
    """

    dependency: str
    sink: Sink[R]
    unavailable: type[Transient]
    refused: type[Permanent]
    most_records: int
    parallel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Where calls and deliveries are noted."""

    outcomes: Topic[Outcome]
    effects: Topic[Effect]
    memory: EffectMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """What became of a record. Of the records of one call the first also brings the outcome of the call."""

    error: Fate
    outcome: Outcome | None = None


class _Letter(Generic[R]):
    """A record and its place. It waits while `fate` is open and no call has it; it rests while there is none."""

    __slots__ = ("alone", "call", "effect_id", "fate", "key", "record", "taken_before")

    def __init__(self, record: R, effect_id: str, key: str) -> None:
        self.record = record
        self.effect_id = effect_id
        self.key = key
        self.fate: asyncio.Future[Return] | None = None
        self.call: asyncio.Task[Sequence[Fate]] | None = None
        self.alone = 0
        self.taken_before = 0

    @property
    def waits(self) -> bool:
        """Whether it may go with the next call."""
        return self.call is None and self.fate is not None and not self.fate.done()

    def tell(self, told: Return) -> None:
        """Let its handler go on."""
        if self.fate is not None and not self.fate.done():
            self.fate.set_result(told)


class Courier(Generic[R]):
    """Delivers the records of one stage, which is declared `ordered=False`, with patience for ever: the order is kept here.

    Args:
        receiver: the other system.
        books: where it is noted.
        key: records of one key are delivered in the order they came.
        circuits: the view on the circuits.
        partitions: of the topic the stage reads.
        clock: the clock.
    """

    def __init__(
        self,
        receiver: Receiver[R],
        books: Books,
        *,
        key: Callable[[R], str],
        circuits: Mapping[str, CircuitState],
        partitions: int,
        clock: Clock,
    ) -> None:
        self._receiver = receiver
        self._books = books
        self._key = key
        self._gate = Gate(circuits, partitions)
        self._clock = clock
        self._letters: dict[asyncio.Task[None] | None, _Letter[R]] = {}
        self._lanes: dict[str, deque[_Letter[R]]] = {}
        self._ready: dict[str, None] = {}  # keys whose first record waits, in the order they came to
        self._lookout: _Letter[R] | None = None
        self._calls = 0
        self._taken_in_all = 0
        self._due = False

    def __len__(self) -> int:
        """Count the records held."""
        return len(self._letters)

    async def deliver(self, record: R, effect_id: str, emit: Emit) -> None:
        """Deliver a record that was not delivered before; every call is reported, whatever becomes of it.

        Raises:
            PipelineError: of the receiver: to be tried again, or never.
        """
        books = self._books
        if await books.memory.find(effect_id) is not None:
            return
        told = await self._brought(record, effect_id, emit)
        if told.outcome is not None:
            emit.now(books.outcomes, told.outcome)
        if told.error is not None:
            raise told.error
        effect = Effect(origin=record.origin, effect_id=effect_id, state=EffectState.DONE, at=self._clock.now())
        emit.now(books.effects, effect)
        books.memory.keep(effect)

    async def _brought(self, record: R, effect_id: str, emit: Emit) -> Return:
        """Return what became of a record; one that is tried again still has its place."""
        task = asyncio.current_task()
        letter = self._letters.get(task)
        if letter is None:
            letter = self._letters[task] = _Letter(record, effect_id, self._key(record))
            self._lanes.setdefault(letter.key, deque()).append(letter)
            emit.at_end(lambda _: self._end(task))
        if letter is self._lookout:
            self._lookout = None
        letter.fate = asyncio.get_running_loop().create_future()
        self._look_at(letter.key)
        self._go_soon()
        return await letter.fate

    def _end(self, task: "asyncio.Task[None] | None") -> None:
        """Give up a place: its record is delivered, buried, or another worker's."""
        letter = self._letters.pop(task)
        if letter is self._lookout:
            self._lookout = None
        lane = self._lanes[letter.key]
        lane.remove(letter)
        if not lane:
            del self._lanes[letter.key]
        call = letter.call
        if call is not None and not any(other.call is call for other in self._letters.values()):
            call.cancel()  # nobody is left to hear of it
        self._look_at(letter.key)
        self._go_soon()

    def _look_at(self, key: str) -> None:
        lane = self._lanes.get(key)
        if lane is not None and lane[0].waits:
            self._ready.setdefault(key)
        else:
            self._ready.pop(key, None)

    def _go_soon(self) -> None:
        """Make calls when everybody who is about to ask has asked: what comes together goes together."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._go)

    def _go(self) -> None:
        self._due = False
        while self._ready and self._lookout is None and self._calls < self._receiver.parallel:
            key, now = next(iter(self._ready)), self._clock.now()
            if not self._lanes[key][0].waits:  # its handler has just been cancelled
                del self._ready[key]
                continue
            if not self._may_call(now):
                self._send_lookout()
                return
            letters = self._taken()
            self._calls += 1
            call = asyncio.get_running_loop().create_task(
                self._receiver.sink.deliver([letter.record for letter in letters]),
                name=f"{self._receiver.dependency}@{key}",
            )
            for letter in letters:
                letter.call = call
            call.add_done_callback(partial(self._returned, letters, now))

    def _may_call(self, now: datetime) -> bool:
        """Ask the circuit. While it is half open every worker makes one call in each span: records, unlike requests, all can wait."""
        name = self._receiver.dependency
        passes = self._gate.look((name,), now, next(iter(self._ready)))
        if name in passes.refused and name not in passes.spare:
            return False
        self._gate.take(name, now)
        return True

    def _send_lookout(self) -> None:
        """Let one record be tried again later; when it comes back the circuit is asked again."""
        name = self._receiver.dependency
        key = next(iter(self._ready))
        self._lookout = self._lanes[key][0]
        self._lookout.tell(Return(error=self._receiver.unavailable(f"the circuit of {name} keeps calls back")))
        self._look_at(key)

    def _taken(self) -> list[_Letter[R]]:
        letters: list[_Letter[R]] = []
        while self._ready and len(letters) < self._receiver.most_records:
            key = next(iter(self._ready))
            del self._ready[key]
            for letter in self._lanes[key]:
                if not letter.waits or len(letters) == self._receiver.most_records:
                    break
                if all(letter.effect_id != other.effect_id for other in letters):  # its copy is told when it is taken
                    letters.append(letter)
        return letters

    def _returned(self, letters: Sequence[_Letter[R]], started: datetime, call: "asyncio.Task[Sequence[Fate]]") -> None:
        self._calls -= 1
        for letter in letters:
            letter.call = None
        if not call.cancelled() and (bug := call.exception()) is not None:
            for letter in letters:
                if letter.waits and letter.fate is not None:
                    letter.fate.set_exception(bug)
        elif not call.cancelled():
            self._tell(letters, call.result(), started)
        for letter in letters:
            self._look_at(letter.key)
        self._go_soon()

    def _tell(self, letters: Sequence[_Letter[R]], fates: Sequence[Fate], started: datetime) -> None:
        """Tell the handlers; of several records of a key that have to be tried again only the first, for the others wait behind it."""
        failure = next((fate for fate in fates if fate is not None and fate.retryable), fates[0])
        report: Outcome | None = outcome(
            self._receiver.dependency,
            started=started,
            ended=self._clock.now(),
            request_id=letters[0].record.origin.request_id,
            error=failure,
        )
        self._taken_in_all += sum(fate is None for fate in fates)
        behind: set[str] = set()
        for letter, fate in zip(letters, fates, strict=True):
            error = fate
            if fate is not None and fate.retryable:
                if letter.key in behind:
                    continue
                behind.add(letter.key)
                error = self._patience_with(letter, fate)
            letter.tell(Return(error=error, outcome=report))
            report = None
            if fate is None:
                self._tell_copies(letter)

    def _tell_copies(self, taken: _Letter[R]) -> None:
        """Let the handlers of copies go on, which come when a worker was killed: what was taken once is not sent again."""
        for copy in self._lanes.get(taken.key, ()):
            if copy.waits and copy.effect_id == taken.effect_id:
                copy.tell(Return(error=None))

    def _patience_with(self, letter: _Letter[R], fate: PipelineError) -> PipelineError:
        """Return the error a record is tried again with, or the one that ends it when it is the record and not the other system."""
        letter.alone += self._taken_in_all > letter.taken_before  # while nobody is taken it is the other system
        letter.taken_before = self._taken_in_all
        if letter.alone < MOST_ALONE:
            return fate
        return self._receiver.refused(
            f"{letter.alone} tries failed while other records were taken; the last: {fate.message}",
            context=fate.context,
        )
