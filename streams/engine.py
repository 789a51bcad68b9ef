"""The engine of one unit: hands fetched batches to stages, and knows what may be committed.

It knows nothing of Faust or of a broker: `streams.transport` feeds it from a real consumer group, the in-memory driver of the tests
feeds it from lists.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.codec import SchemaUnknown, Serde
from schemas.records import Result
from schemas.registry import RegistryRefused, RegistryUnavailable, SchemaSource, serde
from streams.errors import DeliveryFailed
from streams.guard import Guard, Stage, StageCounts
from streams.lanes import Received, Slot, TopicPartition, Window
from streams.lease import Lease
from streams.ports import Clock
from streams.producer import Headers, Producer
from streams.scope import current
from streams.settings import Settings
from streams.topic import Topic
from streams.tracing import Tracing

log = logging.getLogger("forgestream.engine")

# Records held per partition for each one that may wait in a handler: what keeps other keys going behind a busy one.
HELD_PER_IN_FLIGHT = 16
LEASE_POLL_S = 0.05


class Flow(Protocol):
    """The consumer's valve."""

    def pause(self, tp: TopicPartition) -> None:
        """Fetch no more from the partition."""

    def resume(self, tp: TopicPartition) -> None:
        """Fetch from the partition again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What every unit of a process shares."""

    settings: Settings
    schemas: SchemaSource
    producer: Producer
    clock: Clock
    dead_letters: Topic[bytes]
    results: Topic[Result]
    tracing: Tracing
    chance: Callable[[], float] = random.random


class Engine:
    """Runs the stages of one consumer group."""

    def __init__(self, group: str, runtime: Runtime, *, on_fatal: Callable[[BaseException], None]) -> None:
        self.group = group
        self.settings = runtime.settings
        self.producer = runtime.producer
        self.clock = runtime.clock
        self.results = runtime.results
        self.tracing = runtime.tracing
        self.chance = runtime.chance
        self.sleep: Callable[[float], Any] = asyncio.sleep
        self.flow: Flow | None = None
        self.lease = Lease(runtime.settings.engine.session_timeout_s)
        self._schemas = runtime.schemas
        self._dead_letters = runtime.dead_letters
        self._on_fatal = on_fatal
        self._guards: dict[str, Guard] = {}
        self._stages: dict[str, Stage] = {}
        self._serdes: dict[str, Serde[Any]] = {}
        self._windows: dict[TopicPartition, Window] = {}
        self._draining = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    @property
    def stages(self) -> Mapping[str, Stage]:
        """Topic name -> the stage that reads it."""
        return self._stages

    def add(self, stage: Stage) -> None:
        """Declare a stage; each topic is read by one stage of a unit."""
        taken = sorted(set(stage.inputs) & set(self._stages))
        if taken:
            raise ValueError(
                f"{stage.name} reads {', '.join(taken)}, which {self._stages[taken[0]].name} reads already"
            )
        guard = Guard(stage, self)
        for topic in stage.inputs:
            self._stages[topic] = stage
            self._guards[topic] = guard

    def serde(self, topic: Topic[Any]) -> Serde[Any]:
        """Return the codec of a topic, made once."""
        found = self._serdes.get(topic.name)
        if found is None:
            found = self._serdes[topic.name] = serde(self._schemas, topic.name, topic.record)
        return found

    def take(self, tp: TopicPartition, batch: Iterable[Received]) -> bool:
        """Begin to handle a batch of one partition. Returns False when the partition was paused."""
        if self._draining:
            return False
        window = self._windows.get(tp)
        if window is None:
            window = self._windows[tp] = self._open(tp)
        went = window.offer(batch)
        current.set(None)
        if not went and window.paused and self.flow is not None:
            self.flow.pause(tp)
        return went

    def watermarks(self) -> dict[TopicPartition, int]:
        """Return, per partition, the offset up to which everything is done and confirmed."""
        return {tp: window.watermark for tp, window in self._windows.items() if window.watermark is not None}

    def held(self) -> dict[TopicPartition, int]:
        """Return, per partition, how many records are under way."""
        return {tp: len(window) for tp, window in self._windows.items() if len(window)}

    def counts(self) -> dict[str, StageCounts]:
        """Return, per stage, what it has done."""
        return {self._stages[topic].name: guard.counts for topic, guard in self._guards.items()}

    async def owned(self) -> None:
        """Wait until the partitions are known to be this worker's; when they are not, whoever waits here is cancelled."""
        while not self.lease.held:  # noqa: ASYNC110 - it ends with time, which is no event
            await asyncio.sleep(LEASE_POLL_S)

    def fail(self, error: BaseException) -> None:
        """Stop the unit: only a restart cures this."""
        self._on_fatal(error)

    def resume_taking(self) -> None:
        """Take batches again after a drain."""
        self._draining = False

    async def drain(self, budget_s: float) -> bool:
        """Take nothing new and wait for what runs. Returns False when the budget was too short."""
        self._draining = True
        deadline = self.loop.time() + budget_s
        for window in self._windows.values():
            window.shed()
        while any(window.busy for window in self._windows.values()):
            if self.loop.time() >= deadline:
                return False
            await asyncio.sleep(0.005)
        return True

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that now belong to another worker; nothing of them is acknowledged any more."""
        for tp in partitions:
            window = self._windows.pop(tp, None)
            if window is not None:
                window.drop()

    def drop_all(self) -> None:
        """Forget every partition."""
        self.drop(list(self._windows))

    async def fetch_schema(self, schema_id: int) -> bool:
        """Ask the registry for a schema, for as long as it does not answer. False when it does not know it."""
        while True:
            try:
                await self._schemas.fetch(schema_id)
            except (SchemaUnknown, RegistryRefused) as error:
                log.error("schema %d cannot be had: %s", schema_id, error)  # noqa: TRY400 - the dead letter has the stack
                return False
            except RegistryUnavailable as error:
                log.warning("a record waits for schema %d: %s", schema_id, error)
                await self.sleep(self.settings.engine.retry_max_s)
            else:
                return True

    def bury(self, slot: Slot, headers: Headers) -> None:
        """Put the original bytes on the dead-letter topic."""
        slot.pending += 1
        received = slot.received
        self.producer.produce(
            self._dead_letters.name,
            received.value,
            received.key,
            on_delivery=slot.delivered,
            headers=headers,
            timestamp_ms=received.timestamp,
        )

    def on_task_done(self, task: "asyncio.Task[None]") -> None:
        """Stop the worker when the guard itself failed: a record would be stuck for ever."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(error)

    def _open(self, tp: TopicPartition) -> Window:
        stage = self._stages[tp.topic]
        limits = self.settings.engine
        return Window(
            start=self._guards[tp.topic].start,
            in_flight=stage.in_flight,
            most_records=stage.in_flight * HELD_PER_IN_FLIGHT,
            most_bytes=int((stage.in_flight_mb or limits.in_flight_mb) * 1024 * 1024),
            ordered=stage.ordered,
            on_room=lambda: self.flow.resume(tp) if self.flow is not None else None,
            on_lost=self._lost,
        )

    def _lost(self, slot: Slot, error: object) -> None:
        if not slot.window.dropped:
            received = slot.received
            self._on_fatal(
                DeliveryFailed(
                    f"the broker did not confirm an output of {received.topic}-{received.partition}@{received.offset}: {error}"
                ),
            )
