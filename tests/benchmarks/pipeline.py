"""Scenarios with the whole text pipeline: its four units in one worker, a model that answers at once."""

import time
from collections.abc import Iterator
from uuid import uuid4

from tests.benchmarks.child import Measured
from tests.benchmarks.outcome import OURS, Run
from tests.benchmarks.pace import Course
from tests.benchmarks.plan import Bench, Plan, Unfinished
from tests.benchmarks.steady import SECONDS, paced
from tests.child import forgestream
from tests.questions import Deployment
from topology.units import Unit

UNITS = (Unit.INTAKE, Unit.INFERENCE, Unit.LEARNING, Unit.DELIVERY)
PER_S = 50
BEFORE_KILL = 500
RECOVERS_WITHIN_S = 60.0


def plans(bench: Bench, *, divisor: int) -> Iterator[Plan]:
    """Yield the scenarios."""

    def overhead(worker: str) -> Run:
        deployment, child = _deployed(bench)
        course = Course(
            reads=deployment.topics.texts.name,
            writes=deployment.topics.results.name,
            partitions=deployment.kafka.partitions,
            per_s=PER_S,
            records=PER_S * SECONDS // divisor,
            record=deployment.question,
            sequence_of=deployment.number_of,
        )
        return paced(bench.cluster, worker, child, course)

    yield Plan(
        name="pipeline",
        title=f"The whole text pipeline at {PER_S} requests/s, from texts to results",
        target="p50 <= 15 ms, p99 <= 50 ms",
        workers=(OURS,),
        run=overhead,
        less_is_better=True,
        note="Hashing encoder, vectors in memory, `extractive` as the model; the four units of text in one process.",
    )
    yield Plan(
        name="recovery",
        title="The whole text pipeline killed with SIGKILL under load and started again",
        target="first new result within 3 s of the start",
        workers=(OURS,),
        run=lambda worker: _recovery(bench, worker),
        less_is_better=True,
        note="Seconds from the start of the new process, its imports included.",
    )


def _deployed(bench: Bench) -> tuple[Deployment, Measured]:
    deployment = Deployment(bench.cluster.bootstrap, f"bench-{uuid4().hex[:8]}-")
    deployment.provision()
    names = [topic.name for topic in deployment.topics]
    bench.cluster.adopt(names, deployment.kafka.partitions)
    log = bench.logs / f"{deployment.kafka.topic_prefix}worker.log"
    return deployment, Measured(
        forgestream("worker", *(f"--unit={unit}" for unit in UNITS)), log, deployment.environment
    )


def _recovery(bench: Bench, worker: str) -> Run:
    deployment, child = _deployed(bench)
    texts, results = deployment.topics.texts.name, deployment.topics.results.name
    bench.cluster.fill(texts, (deployment.question(number) for number in range(BEFORE_KILL * 10)))
    with child:
        _await_more(bench, child, results, BEFORE_KILL)
        child.kill()
        before = bench.cluster.stored([results])
        started = time.monotonic()
        child.start()
        _await_more(bench, child, results, before + 1)
        ready_s = time.monotonic() - started
    return Run(worker=worker, records=before, figures={"s": ready_s})


def _await_more(bench: Bench, child: Measured, topic: str, count: int) -> None:
    deadline = time.monotonic() + RECOVERS_WITHIN_S
    while (stored := bench.cluster.stored([topic])) < count:
        child.sample()
        if child.returncode is not None or time.monotonic() > deadline:
            raise Unfinished(f"{stored} of {count} results\n{child.tail()}")
        time.sleep(0.01)
