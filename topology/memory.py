"""The whole graph without a broker: real apps that are never started, real engines and tables, logs in lists.

What the broker, Faust and librdkafka do is played one move at a time: a record is handed to a unit, or an output is stored and
confirmed. Between any two moves a unit can crash; it comes back with its changelogs and what was committed, as after a kill.
"""

import asyncio
import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from schemas.registry import SchemaSource, serde
from streams.app import App
from streams.effects import Effects
from streams.engine import Runtime
from streams.errors import DeliveryFailed
from streams.lanes import TopicPartition
from streams.past import Past
from streams.ports import Clock
from streams.producer import Headers
from streams.settings import Settings
from streams.tables import Change, ChangelogTable, tenure_in
from streams.topic import Topic
from streams.tracing import Tracing
from streams.views import View
from topology.contract import open_schemas
from topology.graph import attach_unit
from topology.memory_logs import MemoryEffectLog, MemoryLogs, MemoryProducer, MemoryResultLog, Stored
from topology.outside import VIEWED, Outside, views
from topology.topics import Topics
from topology.units import Unit

R = TypeVar("R")
IDLE_TURNS = 50  # turns of the loop in which a handler that waits for nothing outside has gone on
PATIENCE_S = 10.0  # for what really takes time: a thread, a socket, a timeout
POLL_S = 0.001


class MovableClock(Clock, Protocol):
    """A clock that stands still until it is moved."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""


@dataclass(slots=True)
class _Process:
    """One life of one unit."""

    app: App
    producer: MemoryProducer
    positions: defaultdict[TopicPartition, int]
    paused: set[TopicPartition] = field(default_factory=set)

    def pause(self, tp: TopicPartition) -> None:
        self.paused.add(tp)

    def resume(self, tp: TopicPartition) -> None:
        self.paused.discard(tp)

    def take(self, stored: Stored) -> None:
        tp = TopicPartition(stored.topic, stored.partition)
        self.positions[tp] = stored.offset + 1
        self.app.engine.take(tp, [stored])


class MemoryPipeline:
    """Units at work on logs in memory.

    Args:
        settings: as for a worker; only the broker is not asked.
        outside: the ports; what repeats topics is put in here.
        clock: the clock of `outside`. Pauses between tries pass on it at once.
        chance: chooses among the possible moves, and so finds other interleavings; outputs first when absent.
        units: the units that run.
        patience_s: how long nothing may happen while records are under way.
    """

    def __init__(
        self,
        settings: Settings,
        outside: Outside,
        *,
        clock: MovableClock,
        chance: Random | None = None,
        units: Collection[Unit] = tuple(Unit),
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.topics = Topics.of(settings.kafka)
        self.logs = MemoryLogs(settings.kafka.partitions, clock)
        self.committed: dict[Unit, dict[TopicPartition, int]] = {unit: {} for unit in units}
        self.fatal: list[tuple[Unit, BaseException]] = []
        self._settings = settings
        self._outside = outside
        self._clock = clock
        self._patience_s = patience_s
        self._chance = chance
        self._schemas: SchemaSource
        self._processes: dict[Unit, _Process] = {}
        self._doomed: set[Unit] = set()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._slept_s = 0.0
        self._sleeper_ids = itertools.count()

    async def __aenter__(self) -> Self:
        """Build every unit."""
        self._schemas = await open_schemas(self._settings.registry, self.topics)
        shown: dict[str, View[Any]] = {}
        for port, topic in views(self.topics).items():
            shown[port] = View(topic, self._serde(topic), self._settings.kafka, prefix=VIEWED.get(port, ""))
        followers = {topic.name: shown[port] for port, topic in views(self.topics).items()}
        self.logs.on_stored = lambda stored: (
            followers[stored.topic].apply(stored.key, stored.value) if stored.topic in followers else None
        )
        ports: dict[str, Any] = dict(shown)
        ports["effects"] = Effects(
            MemoryEffectLog(self.logs, self.topics.effects.name),
            self._serde(self.topics.effects),
            self._settings.engine,
        )
        ports["past"] = Past(
            MemoryResultLog(self.logs, self.topics.results.name), self.topics.results, self._serde(self.topics.results)
        )
        self._outside = replace(self._outside, **ports)
        for unit in self.committed:
            app = self._boot(unit)
            changelogs = {f"{app.changelog_name(name)}-value": record for name, record in app.owned_tables.items()}
            await self._schemas.start(changelogs)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what still runs."""
        for process in self._processes.values():
            process.app.engine.drop_all()
        await asyncio.sleep(0)

    async def put(self, topic: Topic[R], record: R) -> None:
        """Store a record as a producer would send it."""
        await self.put_bytes(topic, self._serde(topic).encode(record), key=topic.key(record).encode())

    async def put_bytes(
        self, topic: Topic[Any], value: bytes | None, *, key: bytes | None = None, headers: Headers = ()
    ) -> None:
        """Store any bytes."""
        self.logs.append(topic.name, key, value, headers, 0, -1)

    def records(self, topic: Topic[R]) -> list[R]:
        """Return what a topic holds, partition by partition."""
        codec = self._serde(topic)
        return [codec.decode(stored.value) for stored in self.stored(topic) if stored.value is not None]

    def stored(self, topic: Topic[Any]) -> Sequence[Stored]:
        """Return what a topic holds, undecoded."""
        return self.logs.of(topic.name)

    @property
    def dead_letters(self) -> Sequence[Stored]:
        """What failed."""
        return self.stored(self.topics.dead_letters)

    def table(self, name: str) -> Mapping[str, Any]:
        """Return the rows of a table as its owner holds them."""
        return next(rows(process.app, name) for process in self._processes.values() if name in process.app.owned_tables)

    async def settle(self, moves: int | None = None) -> int:
        """Play until nothing is left to do, then commit; or play `moves` moves and commit nothing. Returns the moves made."""
        made = 0
        while moves is None or made < moves:
            self._restart_the_doomed()
            if not await self._move_is_possible():
                self.commit()
                break
            self._move()
            made += 1
            await asyncio.sleep(0)
        self._restart_the_doomed()
        return made

    def commit(self, *units: Unit) -> None:
        """Commit what the engines hold for done."""
        for unit in units or tuple(self._processes):
            self.committed[unit].update(self._processes[unit].app.engine.watermarks())

    def crash(self, unit: Unit, *, lands: bool = False) -> None:
        """Kill a unit and start it again: what it had not committed is read again.

        Its outputs not yet stored are lost, or with `lands` are stored although nobody lives to hear of it.
        """
        process = self._processes[unit]
        while lands and process.producer.ready:
            process.producer.store_next()
        process.producer.dead = True
        process.app.engine.drop_all()
        self._boot(unit)

    def _boot(self, unit: Unit) -> App:
        producer = MemoryProducer(self.logs)
        runtime = Runtime(
            settings=self._settings,
            schemas=self._schemas,
            producer=producer,
            clock=self._clock,
            dead_letters=self.topics.dead_letters,
            results=self.topics.results,
            tracing=Tracing(),
        )
        app = App(unit, runtime, on_fatal=lambda error: self._doom(unit, error))
        attach_unit(unit, app, self.topics, self._outside, self._settings)
        process = _Process(app, producer, defaultdict(int, self.committed[unit]))
        app.engine.flow = process
        app.engine.sleep = self._pass_time
        for table in app.changelogs.values():
            self._recover(table)
        self._processes[unit] = process
        return app

    def _recover(self, table: ChangelogTable) -> None:
        ends = dict.fromkeys(range(self.logs.partitions), 0)
        for stored in self.logs.of(table.changelog):
            ends[stored.partition] = stored.offset + 1
            table.apply(
                Change(stored.partition, stored.offset, stored.key or b"", stored.value, tenure_in(stored.headers))
            )
        for partition, end in ends.items():
            table.begin(partition, end)

    def _doom(self, unit: Unit, error: BaseException) -> None:
        self.fatal.append((unit, error))
        self._doomed.add(unit)

    def _restart_the_doomed(self) -> None:
        """Do what an orchestrator does with a worker that has stopped because the broker did not confirm.

        Raises:
            BaseException: it stopped for any other reason, which is a bug.
        """
        for unit, error in self.fatal:
            if unit in self._doomed and not isinstance(error, DeliveryFailed):
                raise error
        while self._doomed:
            self.crash(self._doomed.pop())

    def _moves(self) -> Iterator[Callable[[], None]]:
        for process in self._processes.values():
            if process.producer.ready:
                yield process.producer.store_next
        for process in self._processes.values():
            for topic in process.app.engine.stages:
                for number in range(self.logs.partitions):
                    tp = TopicPartition(topic, number)
                    stored = self.logs.at(tp, process.positions[tp])
                    if stored is not None and tp not in process.paused:
                        yield lambda process=process, stored=stored: process.take(stored)  # type: ignore[misc]

    def _move(self) -> None:
        possible = self._moves()
        move = next(possible) if self._chance is None else self._chance.choice(list(possible))
        move()

    async def _move_is_possible(self) -> bool:
        """Wait until there is a move; False when everything is done, or waits for what a test withholds."""
        turns = 0
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while next(self._moves(), None) is None:
            if not any(process.app.engine.held() for process in self._processes.values()):
                return False
            turns += 1
            if turns <= IDLE_TURNS:
                await asyncio.sleep(0)
            elif self._sleepers:
                self._wake_next()
                turns = 0
            elif any(process.producer.queue for process in self._processes.values()):
                return False
            elif asyncio.get_running_loop().time() > deadline:
                held = {unit: process.app.engine.held() for unit, process in self._processes.items()}
                raise TimeoutError(f"nothing has happened for {self._patience_s:g} s with records under way: {held}")
            else:
                await asyncio.sleep(POLL_S)
        return True

    async def _pass_time(self, seconds: float) -> None:
        """Sleep until nothing else is left to do; then the clock is advanced instead."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._slept_s + seconds, next(self._sleeper_ids), woken))
        await woken

    def _wake_next(self) -> None:
        until_s, _, woken = heapq.heappop(self._sleepers)
        if not woken.done():  # of a unit that has crashed meanwhile
            self._clock.advance(until_s - self._slept_s)
            self._slept_s = until_s
            woken.set_result(None)

    def _serde(self, topic: Topic[Any]) -> Any:  # noqa: ANN401 - of the topic's type
        return serde(self._schemas, topic.name, topic.record)


def rows(app: App, name: str) -> Mapping[str, Any]:
    """Return the rows of a table as its owner holds them."""
    codec = serde(app.runtime.schemas, app.changelog_name(name), app.owned_tables[name])
    return {key.decode(): codec.decode(value) for key, value in app.changelogs[name].items()}
