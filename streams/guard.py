"""What surrounds the handling of every record: trace, log context, deadline, retries, dead letters.

The only place that catches `Exception`: whatever a handler raises becomes an error of the taxonomy, and its class decides.
"""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schemas.codec import RecordUndecodable, RecordUnencodable, SchemaUnknown, Serde, origin_of
from schemas.records import Status
from streams.deadletter import dead_letter_headers, failed_result
from streams.errors import (
    DeadlineExceeded,
    HandlerFailed,
    PipelineError,
    RecordInvalid,
    SchemaNotLoaded,
    Transient,
    Undecodable,
)
from streams.lanes import Slot
from streams.outbox import Outbox
from streams.retry import Pauses, pause_s
from streams.scope import Scope, current
from streams.topic import Topic
from streams.tracing import TRACEPARENT, header, root_traceparent

if TYPE_CHECKING:
    from schemas.records import Origin
    from streams.engine import Engine

log = logging.getLogger("forgestream.guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One topic a stage reads."""

    topic: Topic[Any]
    serde: Serde[Any]
    has_origin: bool


@dataclass(slots=True)
class StageCounts:
    """What a stage has done since its start."""

    handled: int = 0
    retried: int = 0
    rejected: int = 0
    expired: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage as declared: its handler and how its failures are met."""

    name: str
    inputs: Mapping[str, Input]
    handler: Callable[[Any, Any], Awaitable[None] | None]
    tombstone: Callable[[str, Any], Awaitable[None] | None] | None
    waits: bool
    patience_s: float  # for which transient errors are tried again, however many tries that takes
    in_flight: int
    in_flight_mb: float | None = None  # of one partition; the engine's setting when absent
    ordered: bool = True
    pauses: Pauses | None = None  # between tries; the engine's setting when absent


class Guard:
    """Handles the records of one stage."""

    def __init__(self, stage: Stage, engine: "Engine") -> None:
        self._stage = stage
        self._engine = engine
        self.counts = StageCounts()

    def start(self, slot: Slot) -> bool:
        """Begin to handle a record. True when done already, False when `slot.window.release` will be called later."""
        scope = Scope(self._stage.name, slot)
        current.set(scope)
        if self._stage.waits or not self._engine.lease.held:
            self._attend_later(scope, None)
            return False
        try:
            error = self._attempt_now(scope)
        except MemoryError as shortage:
            self._engine.fail(shortage)
            return False
        if error is not None:
            if error.retryable:
                self._attend_later(scope, error)
                return False
            self._give_up(scope, error, attempts=1)
        slot.settle()
        scope.end(done=True)
        return True

    def _attend_later(self, scope: Scope, error: PipelineError | None) -> None:
        task = self._engine.loop.create_task(
            self._attend(scope, error), name=f"{self._stage.name}@{scope.slot.received.offset}"
        )
        task.add_done_callback(self._engine.on_task_done)
        scope.slot.task = task

    async def _attend(self, scope: Scope, error: PipelineError | None) -> None:
        done = False
        try:
            await self._tried(scope, error)
            done = not scope.slot.window.dropped
        finally:
            scope.end(done=done)

    async def _tried(self, scope: Scope, error: PipelineError | None) -> None:
        attempts = 0 if error is None else 1
        began = self._engine.clock.now()
        while True:
            if error is None:
                attempts += 1
                await self._engine.owned()
                error = await self._attempt(scope)
            if error is None:
                break
            if not await self._worth_another_try(scope, error, attempts, began):
                await self._engine.owned()
                self._give_up(scope, error, attempts)
                break
            self.counts.retried += 1
            error = None
        window = scope.slot.window
        if not window.dropped:
            window.release(scope.slot)
            scope.slot.settle()

    def _attempt_now(self, scope: Scope) -> PipelineError | None:
        try:
            record = self._read(scope)
            with self._span(scope):
                outbox = Outbox(self._engine, scope)
                self._call(scope, record, outbox)
                outbox.send()
        except MemoryError:
            raise  # says nothing of the record: the worker stops, and another reads it again
        except Exception as error:  # noqa: BLE001 - the guard: every exception becomes an error of the taxonomy
            return _classified(error, self._stage.name)
        self.counts.handled += 1
        return None

    async def _attempt(self, scope: Scope) -> PipelineError | None:
        try:
            record = self._read(scope)
            with self._span(scope):
                outbox = Outbox(self._engine, scope)
                async with asyncio.timeout(self._seconds_left(scope)) as limit:
                    waiting = self._call(scope, record, outbox)
                    if waiting is not None:
                        await waiting
                if waiting is not None:
                    await self._engine.owned()
                outbox.send()
        except TimeoutError as error:
            return _expired(scope) if limit.expired() else _classified(error, self._stage.name)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            return _classified(error, self._stage.name)  # nobody cancelled us: what the handler awaited was
        except MemoryError:
            raise  # as above
        except Exception as error:  # noqa: BLE001 - the guard: every exception becomes an error of the taxonomy
            return _classified(error, self._stage.name)
        self.counts.handled += 1
        return None

    def _read(self, scope: Scope) -> Any:  # noqa: ANN401 - of the topic's type
        """Decode the record, None for a tombstone, and note who asked."""
        received = scope.slot.received
        reads = self._stage.inputs[received.topic]
        scope.traceparent = header(received.headers, TRACEPARENT) or b""
        if received.value is None:
            return None
        record = reads.serde.decode(received.value)
        if reads.has_origin:
            scope.origin = record.origin
            scope.traceparent = scope.traceparent or root_traceparent(record.origin)
            if reads.topic.ends_request and record.origin.deadline <= self._engine.clock.now():
                raise _expired(scope)
        return record

    def _span(self, scope: Scope) -> AbstractContextManager[object]:
        return self._engine.tracing.span(self._stage.name, self._engine.group, scope.slot.received, scope.traceparent)

    def _call(self, scope: Scope, record: Any, outbox: Outbox) -> Awaitable[None] | None:  # noqa: ANN401 - as above
        if record is None:
            return self._call_tombstone(scope.slot.received.key, outbox)
        return self._stage.handler(record, outbox)

    def _call_tombstone(self, key: bytes | None, outbox: Outbox) -> Awaitable[None] | None:
        if self._stage.tombstone is None or key is None:
            raise Undecodable("a null value has no meaning on this topic")
        try:
            return self._stage.tombstone(key.decode(), outbox)
        except UnicodeDecodeError as error:
            raise Undecodable("the key of a tombstone is not UTF-8") from error

    def _seconds_left(self, scope: Scope) -> float | None:
        reads = self._stage.inputs[scope.slot.received.topic]
        if not reads.topic.ends_request or scope.origin is None:
            return None
        return max(0.0, (scope.origin.deadline - self._engine.clock.now()).total_seconds())

    async def _worth_another_try(self, scope: Scope, error: PipelineError, attempts: int, began: datetime) -> bool:
        """Wait before the next try; False when there is to be none."""
        settings = self._engine.settings.engine
        out_of_patience = (self._engine.clock.now() - began).total_seconds() >= self._stage.patience_s
        if isinstance(error, SchemaNotLoaded):
            worth = attempts <= settings.retry_attempts or not out_of_patience
            return worth and await self._engine.fetch_schema(error.schema_id)
        if not error.retryable or (attempts >= settings.retry_attempts and out_of_patience):
            return False
        wished = error.retry_after_s if isinstance(error, Transient) else None
        pause = pause_s(attempts, self._stage.pauses or settings, chance=self._engine.chance(), wished_s=wished)
        left = self._seconds_left(scope)
        if left is not None and pause >= left:
            return False
        log.warning("%s; trying again in %.1f s", error.message, pause)
        await self._engine.sleep(pause)
        return True

    def _give_up(self, scope: Scope, error: PipelineError, attempts: int) -> None:
        """Write what a record that cannot be handled leaves behind: a dead letter, a terminal result, or both."""
        outbox = Outbox(self._engine, scope)
        received = scope.slot.received
        reads = self._stage.inputs[received.topic]
        at = self._engine.clock.now()
        if reads.topic.ends_request and (origin := self._origin(scope)) is not None:
            outbox(self._engine.results, failed_result(origin, error, at))
        if error.ends_as is Status.REJECTED:
            self.counts.rejected += 1
            log.info("request rejected: %s", error.message)
        elif error.ends_as is Status.EXPIRED:
            self.counts.expired += 1
            log.warning("request expired: %s", error.message)
        else:
            self.counts.failed += 1
            log.error("dead letter after %d tries: %s", attempts, error.message, exc_info=error.__cause__)
            stack = "".join(traceback.format_exception(error))
            headers = dead_letter_headers(
                received, error, stage=self._stage.name, attempts=attempts, at=at, stack=stack
            )
            self._engine.bury(scope.slot, headers)
        outbox.send()

    def _origin(self, scope: Scope) -> "Origin | None":
        value = scope.slot.received.value
        return scope.origin or (origin_of(value) if value is not None else None)


def _expired(scope: Scope) -> DeadlineExceeded:
    deadline = scope.origin.deadline.isoformat() if scope.origin else "unknown"
    return DeadlineExceeded(
        f"the deadline {deadline} passed before {scope.stage} was done", context={"stage": scope.stage}
    )


def _classified(error: BaseException, stage: str) -> PipelineError:
    if isinstance(error, PipelineError):
        return error
    found: PipelineError
    if isinstance(error, SchemaUnknown):
        found = SchemaNotLoaded(error.schema_id)
    elif isinstance(error, RecordUndecodable):
        found = Undecodable(f"the value is not a record of this topic: {error}")
    elif isinstance(error, RecordUnencodable):
        found = RecordInvalid(f"{stage} made a record that breaks its schema: {error}")
    else:
        found = HandlerFailed(f"{stage} failed: {type(error).__name__}: {error}", context={"stage": stage})
    found.__cause__ = error
    return found
