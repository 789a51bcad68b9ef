"""An app without Kafka: keeps the handlers of stages and runs one record at a time."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, Generic, TypeVar, cast

from streams.app import App
from streams.retry import Pauses
from streams.topic import Topic

S = TypeVar("S")
V = TypeVar("V")
Handler = Callable[[Any, Any], Awaitable[None] | None]


class FakeTable(Generic[V]):
    """An `OwnedTable` in a dict, for records that come once."""

    def __init__(self, initial: Callable[[str], V]) -> None:
        self.rows: dict[str, V] = {}
        self._initial = initial

    def get(self, key: str) -> V | None:
        return self.rows.get(key)

    def update(self, key: str, change: Callable[[V], V]) -> V:
        self.rows[key] = change(self.rows.get(key) or self._initial(key))
        return self.rows[key]


class FakeEmit:
    """An `Emit`: what is held is lost when the handler raises, what is sent now is not."""

    def __init__(self, sent: dict[str, list[Any]]) -> None:
        self._sent = sent
        self._held: list[tuple[str, Any]] = []
        self._at_end: list[Callable[[bool], None]] = []

    def __call__(self, topic: Topic[S], record: S) -> None:
        self._held.append((topic.name, record))

    def now(self, topic: Topic[S], record: S) -> None:
        self._sent[topic.name].append(record)

    def at_end(self, callback: Callable[[bool], None]) -> None:
        self._at_end.append(callback)

    async def confirmed(self, topic: Topic[S], record: S) -> None:
        self.now(topic, record)

    def send(self) -> None:
        for name, record in self._held:
            self._sent[name].append(record)

    def end(self, *, done: bool = True) -> None:
        for callback in self._at_end:
            callback(done)


class FakeApp:
    """Takes the place of `streams.app.App` in `attach`."""

    def __init__(self) -> None:
        self.stages: dict[str, Handler] = {}
        self.tombstones: dict[str, Handler] = {}
        self.patience_s: dict[str, float] = {}
        self.counted: dict[str, Any] = {}
        self.tables: dict[str, FakeTable[Any]] = {}
        self.sent: dict[str, list[Any]] = defaultdict(list)

    @property
    def app(self) -> App:
        """Itself, for the type checker."""
        return cast("App", self)

    def stage(
        self,
        *reads: Topic[Any],
        name: str,
        in_flight: int | None = None,
        in_flight_mb: float | None = None,
        ordered: bool = True,
        aside: bool = False,
        patience_s: float = 0.0,
        pauses: Pauses | None = None,
        tombstone: Handler | None = None,
    ) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            for topic in reads:
                self.stages[topic.name] = handler
                if tombstone is not None:
                    self.tombstones[topic.name] = tombstone
            self.patience_s[name] = patience_s
            return handler

        return declare

    def task(self, run: object) -> None:
        """Take what would run beside the stages."""

    def owned_table(self, name: str, record: type[V], initial: Callable[[str], V]) -> FakeTable[V]:
        table = self.tables[name] = FakeTable(initial)
        return table

    async def put(self, topic: Topic[S], record: S) -> None:
        """Hand a record to the stage that reads the topic."""
        await self._run(self.stages[topic.name], record)

    async def delete(self, topic: Topic[Any], key: str) -> None:
        """Hand a tombstone to the stage that reads the topic."""
        await self._run(self.tombstones[topic.name], key)

    def of(self, topic: Topic[S]) -> list[S]:
        """What was sent to a topic."""
        return self.sent[topic.name]

    async def _run(self, handler: Handler, record: object) -> None:
        emit = FakeEmit(self.sent)
        try:
            waiting = handler(record, emit)
            if isawaitable(waiting):
                await waiting
            emit.send()
        finally:
            emit.end()
