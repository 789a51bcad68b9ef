"""One run: workers, load and brokers; faults strike while work is under way, and in the end everything is accounted for."""

import random
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from operator import ge
from pathlib import Path
from typing import TypeVar

from confluent_kafka import KafkaException

from streams.settings import EmbeddedSettings
from tests.chaos.crew import GAVE_UP, Crew
from tests.chaos.ledger import PARTITIONS, Audit, Books, Ledger, audit
from tests.chaos.load import Entry, Load
from tests.chaos.programs.bookkeeper import SESSION_S, Post
from tests.chaos.proxy import FaultProxy
from tests.cluster import Cluster
from tests.eventually import eventually
from topology.embedded.cluster import EmbeddedCluster
from topology.embedded.jars import JarLock
from topology.embedded.kafka import EmbeddedKafka, Place
from topology.embedded.ports import free_ports
from topology.embedded.properties import HOST

T = TypeVar("T")
WORKERS = 3
PROVE_S = 30.0
RECOVER_S = 120.0
ASK_S = 5.0
HEAP_MB = 256


class Void(Exception):
    """No work was under way when the fault should have struck: the run proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brokers:
    """Where a run takes place."""

    bootstrap: str
    workers_at: str  # the address the workers are given: that of the proxy, if there is one
    replication: int = 1
    cluster: EmbeddedCluster | None = None
    proxy: FaultProxy | None = None


@dataclass(slots=True, kw_only=True)
class Arena:
    """What a fault may touch."""

    brokers: Brokers
    crew: Crew
    books: Books
    cluster: Cluster
    load: Load
    directory: Path
    faults: int = 0
    recoveries_s: list[float] = field(default_factory=list)

    def await_work(self) -> None:
        """Prove that work is under way.

        Raises:
            Void: nothing comes out.
        """
        ledger = self.books.ledger
        before = self._patiently(lambda: self.cluster.stored([ledger.copies.name]))
        try:
            eventually(
                lambda: (
                    self._patiently(lambda: self.cluster.stored([ledger.copies.name])) > before
                    and self._patiently(lambda: self.cluster.committed(ledger.group, [ledger.reads.name]))
                    < self._patiently(lambda: self.cluster.stored([ledger.reads.name]))
                ),
                within_s=PROVE_S,
                what="copies come out while there is more to do",
            )
        except AssertionError as error:
            raise Void(f"{error}\n{self.crew.tails()}") from error

    def suffer(self, strike: "Strike", chance: random.Random) -> None:
        """Let one fault strike and wait until everything asked before its end is done."""
        self.await_work()
        struck_at = time.monotonic()
        strike(self, chance)
        self.faults += 1
        ledger = self.books.ledger
        self._await_done(ledger.reads.name)
        self.recoveries_s.append(time.monotonic() - struck_at)

    def finish(self) -> Audit:
        """Stop the load, wait until nothing is left to do, stop the workers, account for everything."""
        self.load.stop()
        assert self.load.lost == 0, f"{self.load.lost} records were never stored: the producer's own loss"
        for topic in (self.books.ledger.reads.name, self.books.ledger.copies.name):
            self._await_done(topic)
        codes = self.crew.dismiss()
        assert set(codes) <= {0, GAVE_UP, -signal.SIGTERM}, f"workers ended with {codes}\n{self.crew.tails()}"
        return audit(self.cluster, self.books)

    def _await_done(self, topic: str) -> None:
        """Wait until every partition is acknowledged up to its present end."""
        group = self.books.ledger.group
        ends = self._patiently(lambda: self.cluster.ends(topic))

        def all_done() -> bool:
            return all(map(ge, self._patiently(lambda: self.cluster.offsets(group, topic)), ends))

        try:
            eventually(all_done, within_s=RECOVER_S, what=f"{sum(ends)} records of {topic} are done")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.crew.tails()}") from error

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask a cluster that may not answer now."""
        deadline = time.monotonic() + RECOVER_S
        while True:
            try:
                return ask()
            except (KafkaException, TimeoutError):
                if time.monotonic() > deadline:
                    raise
                with suppress(KafkaException):
                    self.cluster.refresh()


Strike = Callable[[Arena, random.Random], None]


@contextmanager
def alone(kafka: str) -> Iterator[Brokers]:
    """Use a broker that is there."""
    yield Brokers(bootstrap=kafka, workers_at=kafka)


@contextmanager
def three_nodes(cache: str, lock: JarLock | None) -> Iterator[Brokers]:
    """Start a cluster of three."""
    with EmbeddedCluster(EmbeddedSettings(cache_dir=cache, heap_mb=HEAP_MB), lock=lock) as cluster:
        yield Brokers(
            bootstrap=cluster.bootstrap,
            workers_at=cluster.bootstrap,
            replication=len(cluster.brokers),
            cluster=cluster,
        )


@contextmanager
def behind_a_proxy(cache: str, lock: JarLock | None) -> Iterator[Brokers]:
    """Start a broker that the workers reach through a proxy, and nobody else does."""
    port, controller, behind, front = free_ports(4)
    place = Place(ports=(port, controller), proxied=(behind, front))
    settings = EmbeddedSettings(cache_dir=cache, heap_mb=HEAP_MB)
    with EmbeddedKafka(settings, lock=lock, place=place) as kafka, FaultProxy(front, behind) as proxy:
        yield Brokers(bootstrap=kafka.bootstrap, workers_at=f"{HOST}:{front}", proxy=proxy)


PLACES: Mapping[str, Callable[[str, JarLock | None], AbstractContextManager[Brokers]]] = {
    "three nodes": three_nodes,
    "behind a proxy": behind_a_proxy,
}


@contextmanager
def arena(
    brokers: Brokers, *, entry: Callable[[Books], Entry], rate: int, clock: str = "", session_s: float = SESSION_S
) -> Iterator[Arena]:
    """Set up topics, workers and load; ready when all workers have partitions."""
    ledger = Ledger(f"c{uuid.uuid4().hex[:10]}-")
    books, cluster = Books(ledger), Cluster(brokers.bootstrap, replication=brokers.replication, timeout_s=ASK_S)
    in_sync = str(brokers.replication // 2 + 1)
    cluster.create(
        ledger.topics,
        PARTITIONS,
        min_insync_replicas=in_sync,
        max_message_bytes="17000000",
    )
    with ExitStack() as owned:
        directory = Path(owned.enter_context(tempfile.TemporaryDirectory(prefix="forgestream-chaos-")))
        wrong = directory / "clock" if clock else None
        if wrong is not None:
            wrong.write_text(clock, encoding="ascii")
        post = Post(
            bootstrap=brokers.workers_at,
            prefix=ledger.prefix,
            worker="",
            replication=brokers.replication,
            clock=str(wrong or ""),
            session_s=session_s,
        )
        crew = Crew(post, directory)
        owned.enter_context(crew.attended())
        for number in range(WORKERS):
            crew.add(number)
        for number in range(WORKERS):
            crew.await_joined(number, 1)
        load = owned.enter_context(Load(brokers.bootstrap, ledger.reads.name, entry(books), rate))
        yield Arena(brokers=brokers, crew=crew, books=books, cluster=cluster, load=load, directory=directory)
