"""Scenarios in which a worker finds a backlog and drains it."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.benchmarks.check import check
from tests.benchmarks.child import Measured
from tests.benchmarks.job import Job, Work
from tests.benchmarks.load import Record
from tests.benchmarks.outcome import Run
from tests.child import program
from tests.cluster import Cluster

DRAINED_WITHIN_S = 300.0
COMMITTED_WITHIN_S = 15.0
WATCH_EVERY_S = 0.02
BROKER_CLOCK = {"message_timestamp_type": "LogAppendTime"}  # the one clock all workers are measured by


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A backlog and who drains it. `entrants` says how many records each worker gets: slow ones get fewer."""

    name: str
    title: str
    target: str
    work: Work
    partitions: int
    load: Callable[[int], Iterator[Record]]
    sequence_of: Callable[[bytes], int]
    entrants: Mapping[str, int]
    once: frozenset[str] = frozenset()  # workers too slow to repeat
    in_flight: int = 1
    hops: int = 1
    timed: bool = False  # seconds for the whole backlog instead of records/s
    schema: str = ""
    note: str = ""


class Unfinished(RuntimeError):
    """A worker ended or hung before its backlog was drained."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where workers run: the cluster, who runs what, and where their output goes."""

    cluster: Cluster
    python_of: Mapping[str, str]
    logs: Path

    def fill(self, scenario: Scenario, records: int) -> str:
        """Return the topic that holds the backlog of so many records, made on first use."""
        topic = f"bench-{scenario.name}-{records}-{uuid4().hex[:8]}"
        self.cluster.create([topic], scenario.partitions, **BROKER_CLOCK)
        self.cluster.fill(topic, scenario.load(records))
        return topic

    def run(self, scenario: Scenario, worker: str, backlog: str, records: int) -> Run:
        """Let one worker drain the backlog, and check what it wrote."""
        name = f"bench-{scenario.name}-{worker.replace('_', '-')}-{uuid4().hex[:8]}"
        written = [f"{name}-hop-{hop}" for hop in range(1, scenario.hops + 1)]
        self.cluster.create(written, scenario.partitions, **BROKER_CLOCK)
        job = Job(
            work=scenario.work,
            bootstrap=self.cluster.bootstrap,
            group=name,
            topics=(backlog, *written),
            partitions=scenario.partitions,
            in_flight=scenario.in_flight,
            schema=scenario.schema,
        )
        command = program(f"benchmarks.programs.{worker}", job.dump(), python=self.python_of[worker])
        with Measured(command, self.logs / f"{name}.log") as child:
            self._await_drained(child, written[-1], records)
            uncommitted = self._await_committed(child, job, records)
            child.sample()
            child.stop()
        checked = check(self.cluster.read(written[-1]), records, scenario.sequence_of)
        if scenario.hops > 1:  # the whole way: a worker may do one hop after the other
            first = min(stored.at for stored in self.cluster.read(written[0]))
            checked = dataclasses.replace(checked, started=first, counted=records)
        self.cluster.delete(written)
        speed = {"s": checked.seconds} if scenario.timed else {"records/s": checked.counted / checked.seconds}
        return Run(
            worker=worker,
            records=records,
            figures={
                **speed,
                "CPU s": child.cpu_between(checked.started, checked.ended),
                "CPU s with start": child.cpu_s,
                "RSS MB": child.rss_mb,
            },
            faults={
                "lost": checked.lost,
                "doubled": checked.doubled,
                "out of order": checked.disordered,
                "not committed": uncommitted,
            },
        )

    def _await_drained(self, child: Measured, output: str, records: int) -> None:
        deadline = time.monotonic() + DRAINED_WITHIN_S
        while (stored := self.cluster.stored([output])) < records:
            child.sample()
            if child.returncode is not None or time.monotonic() > deadline:
                raise Unfinished(f"{stored} of {records} records after exit code {child.returncode}:\n{child.tail()}")
            time.sleep(WATCH_EVERY_S)
        child.sample()

    def _await_committed(self, child: Measured, job: Job, records: int) -> int:
        read = [read for read, _written in job.pairs]
        deadline = time.monotonic() + COMMITTED_WITHIN_S
        while missing := records * len(read) - self.cluster.committed(job.group, read):
            if child.returncode is not None or time.monotonic() > deadline:
                break
            time.sleep(WATCH_EVERY_S)
        return missing
