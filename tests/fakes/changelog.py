"""A changelog as aiokafka's consumer shows it, with what may go wrong on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition as Place
from aiokafka.errors import KafkaError

from streams.tables import TENURE_HEADER


@dataclass(frozen=True)
class Logged:
    """One record of a changelog."""

    offset: int
    key: bytes
    value: bytes | None
    tenure: int = 0

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        return ((TENURE_HEADER, b"%d" % self.tenure),)


class ScriptedConsumer:
    """Gives `at_once` records per fetch. `before_fetch` is called before each; `silent` fetches give nothing, for ever."""

    def __init__(
        self,
        logs: Mapping[Place, Sequence[Logged]],
        *,
        at_once: int = 2,
        before_fetch: Callable[[int], None] = lambda _: None,
        silent: bool = False,
        fails: KafkaError | None = None,
    ) -> None:
        self._logs = logs
        self._at_once = at_once
        self._before_fetch = before_fetch
        self._silent = silent
        self._fails = fails
        self._positions: dict[Place, int] = {}
        self.read: list[tuple[Place, int]] = []
        self.stopped = False

    async def start(self) -> None:
        if self._fails is not None:
            raise self._fails

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, places: Sequence[Place]) -> None:
        self._positions = dict.fromkeys(places, 0)

    def seek(self, place: Place, offset: int) -> None:
        self._positions[place] = offset

    async def position(self, place: Place) -> int:
        return self._positions[place]

    async def end_offsets(self, places: Sequence[Place]) -> Mapping[Place, int]:
        return {place: self._logs[place][-1].offset + 1 if self._logs[place] else 0 for place in places}

    async def beginning_offsets(self, places: Sequence[Place]) -> Mapping[Place, int]:
        return {place: self._logs[place][0].offset if self._logs[place] else 0 for place in places}

    async def getmany(self, *places: Place, timeout_ms: int) -> Mapping[Place, Sequence[Logged]]:
        self._before_fetch(len(self.read))
        found = {}
        for place in () if self._silent else places:
            batch = [one for one in self._logs[place] if one.offset >= self._positions[place]][: self._at_once]
            if batch:
                found[place] = batch
                self._positions[place] = batch[-1].offset + 1
                self.read += [(place, one.offset) for one in batch]
        return found
