"""Scenarios in which a worker finds a backlog and drains it."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

from tests.benchmarks.check import check
from tests.benchmarks.child import Measured
from tests.benchmarks.job import Job, Work
from tests.benchmarks.load import Record
from tests.benchmarks.outcome import Run
from tests.benchmarks.plan import Bench, Plan, Unfinished
from tests.cluster import Cluster
from tests.one_unit import GROUP_SUFFIX

DRAINED_WITHIN_S = 300.0
COMMITTED_WITHIN_S = 15.0
WATCH_EVERY_S = 0.02


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


def plan(bench: Bench, scenario: Scenario) -> Plan:
    """Return how the scenario is measured; backlogs are made when they are first needed."""
    backlogs: dict[int, str] = {}

    def run(worker: str) -> Run:
        records = scenario.entrants[worker]
        if records not in backlogs:
            backlogs[records] = bench.topic(f"{scenario.name}-{records}", scenario.partitions)
            bench.cluster.fill(backlogs[records], scenario.load(records))
        return _run(bench, scenario, worker, backlogs[records])

    return Plan(
        name=scenario.name,
        title=scenario.title,
        target=scenario.target,
        workers=tuple(scenario.entrants),
        run=run,
        once=scenario.once,
        less_is_better=scenario.timed,
        note=scenario.note,
    )


def _run(bench: Bench, scenario: Scenario, worker: str, backlog: str) -> Run:
    records = scenario.entrants[worker]
    group = f"bench-{scenario.name}-{worker}-{uuid4().hex[:8]}-{GROUP_SUFFIX}".replace("_", "-")
    written = bench.create([f"hop-{hop}" for hop in range(1, scenario.hops + 1)], scenario.partitions)
    job = Job(
        work=scenario.work,
        bootstrap=bench.cluster.bootstrap,
        group=group,
        topics=(backlog, *written),
        partitions=scenario.partitions,
        in_flight=scenario.in_flight,
        schema=scenario.schema,
    )
    with bench.worker(worker, job) as child:
        _await_drained(bench.cluster, child, written[-1], records)
        uncommitted = _await_committed(bench.cluster, child, job, records)
        child.sample()
        child.stop()
    checked = check(bench.cluster.read(written[-1]), records, scenario.sequence_of)
    if scenario.hops > 1:  # the whole way: a worker may do one hop after the other
        first = min(stored.at for stored in bench.cluster.read(written[0]))
        checked = dataclasses.replace(checked, started=first, counted=records)
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


def _await_drained(cluster: Cluster, child: Measured, output: str, records: int) -> None:
    deadline = time.monotonic() + DRAINED_WITHIN_S
    while (stored := cluster.stored([output])) < records:
        child.sample()
        if child.returncode is not None or time.monotonic() > deadline:
            raise Unfinished(f"{stored} of {records} records after exit code {child.returncode}:\n{child.tail()}")
        time.sleep(WATCH_EVERY_S)
    child.sample()


def _await_committed(cluster: Cluster, child: Measured, job: Job, records: int) -> int:
    read = [read for read, _written in job.pairs]
    deadline = time.monotonic() + COMMITTED_WITHIN_S
    while missing := records * len(read) - cluster.committed(job.group, read):
        if child.returncode is not None or time.monotonic() > deadline:
            break
        time.sleep(WATCH_EVERY_S)
    return missing
