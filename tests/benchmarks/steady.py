"""Scenarios at a steady rate: how long a record takes through one hop and through eight."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from tests.benchmarks import load
from tests.benchmarks.child import Measured
from tests.benchmarks.job import Job, Work
from tests.benchmarks.outcome import Run
from tests.benchmarks.pace import Course, Unanswered, latencies_ms
from tests.benchmarks.plan import Bench, Plan, Unfinished
from tests.benchmarks.scenarios import eight_hops
from tests.cluster import Cluster
from tests.one_unit import GROUP_SUFFIX

PARTITIONS = 4
SECONDS = 20
WORKERS = ("forgestream", "quix", "librdkafka", "plain_faust")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """Records at a steady rate through some hops."""

    name: str
    title: str
    work: Work
    hops: int
    per_s: float
    record: Callable[[int], load.Record]
    sequence_of: Callable[[bytes], int]
    schema: str = ""


def plans(bench: Bench, *, divisor: int) -> Iterator[Plan]:
    """Yield the scenarios."""
    one = Steady(
        name="hop-latency",
        title="One hop of 200 bytes at 300 records/s",
        work=Work.COPY,
        hops=1,
        per_s=300,
        record=load.one_small,
        sequence_of=load.sequence_of,
    )
    avro = eight_hops(divisor)
    eight = Steady(
        name="hops-latency",
        title="Eight hops with Avro decode and encode at each, 50 records/s",
        work=Work.RECODE,
        hops=8,
        per_s=50,
        record=list(avro.load(50 * SECONDS * 2)).__getitem__,
        sequence_of=avro.sequence_of,
        schema=avro.schema,
    )
    for steady in (one, eight):
        yield _plan(bench, steady, records=int(steady.per_s * SECONDS) // divisor)


def _plan(bench: Bench, steady: Steady, records: int) -> Plan:
    def run(worker: str) -> Run:
        topics = bench.create([f"at-{hop}" for hop in range(steady.hops + 1)], PARTITIONS)
        job = Job(
            work=steady.work,
            bootstrap=bench.cluster.bootstrap,
            group=f"bench-{steady.name}-{worker}-{uuid4().hex[:8]}-{GROUP_SUFFIX}".replace("_", "-"),
            topics=tuple(topics),
            partitions=PARTITIONS,
            in_flight=1,
            linger_ms=0.0,
            schema=steady.schema,
        )
        course = Course(
            reads=topics[0],
            writes=topics[-1],
            partitions=PARTITIONS,
            per_s=steady.per_s,
            records=records,
            record=steady.record,
            sequence_of=steady.sequence_of,
        )
        return paced(bench.cluster, worker, bench.worker(worker, job), course)

    return Plan(
        name=steady.name,
        title=steady.title,
        target="none; for comparison with the overhead of the pipeline",
        workers=WORKERS,
        run=run,
        less_is_better=True,
    )


def paced(cluster: Cluster, worker: str, child: Measured, course: Course) -> Run:
    """Measure one worker on a course."""
    with child:
        try:
            found = sorted(latencies_ms(cluster, course, child.sample))
        except Unanswered as unanswered:
            raise Unfinished(f"{worker}: {unanswered}\n{child.tail()}") from unanswered
        child.sample()
        cpu_s, rss_mb = child.cpu_of_last_two, child.rss_mb
        child.stop()
    return Run(
        worker=worker,
        records=course.records,
        figures={
            "p50 ms": found[len(found) // 2],
            "p99 ms": found[len(found) * 99 // 100],
            "longest ms": found[-1],
            "CPU %": 100 * cpu_s / (course.records / course.per_s),
            "RSS MB": rss_mb,
        },
    )
