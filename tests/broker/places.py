"""Where the programs that are killed read and write: topics named after a test."""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TypeVar

from schemas.records import CircuitState, Outcome, Result
from schemas.registry import LockedIds
from streams.clock import SystemClock
from streams.engine import Runtime
from streams.producer import LibrdkafkaProducer
from streams.settings import Settings
from streams.topic import Topic
from streams.tracing import Tracing
from tests.one_unit import GROUP_SUFFIX

R = TypeVar("R")
PARTITIONS = 2  # of the topics that are counted


@dataclass(frozen=True, slots=True)
class Place:
    """The topics and the group of one run; also the command line of its program."""

    group: str
    reads: str
    writes: str
    dead_letters: str
    results: str
    marker: str  # a file that appears when the moment has come

    @classmethod
    def of(cls, namespace: str, directory: Path) -> "Place":
        """Name everything after the namespace."""
        return cls(
            group=f"{namespace}{GROUP_SUFFIX}",
            reads=f"{namespace}reads",
            writes=f"{namespace}writes",
            dead_letters=f"{namespace}dead-letters",
            results=f"{namespace}results",
            marker=str(directory / "marker"),
        )

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic."""
        return self.reads, self.writes, self.dead_letters, self.results

    def runtime(self, settings: Settings, schemas: LockedIds, producer: LibrdkafkaProducer, partitions: int) -> Runtime:
        """Return what a unit that works here needs; its topics have so many partitions."""
        return Runtime(
            settings=settings,
            schemas=schemas,
            producer=producer,
            clock=SystemClock(),
            dead_letters=raw(self.dead_letters, partitions),
            results=topic(self.results, Result, lambda result: result.result_id, partitions),
            tracing=Tracing(),
        )

    @property
    def arguments(self) -> tuple[str, ...]:
        """The place as a command line."""
        return astuple(self)


def topic(name: str, record: type[R], key: Callable[[R], str], partitions: int = 1) -> Topic[R]:
    """Declare a topic of a test."""
    return Topic(
        name=name, record=record, key=key, key_name="key", owner="tests", partitions=partitions, doc="Of a test"
    )


def raw(name: str, partitions: int = 1) -> Topic[bytes]:
    """Declare a topic of bytes; what is passed on keeps its key."""
    return topic(name, bytes, lambda _: "", partitions)


def outcomes(name: str, partitions: int) -> Topic[Outcome]:
    """Declare a topic of outcomes."""
    return topic(name, Outcome, lambda outcome: outcome.dependency, partitions)


def circuit_states(name: str, partitions: int) -> Topic[CircuitState]:
    """Declare a topic of circuit states."""
    return topic(name, CircuitState, lambda state: state.dependency, partitions)
