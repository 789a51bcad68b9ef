"""`make leak`: two workers, a provider that dies: how many calls still reach it after its circuit has opened.

Writes the table of docs/circuits.md.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer

from schemas.records import CircuitState, Phase, Result, Status
from schemas.registry import LockedIds, serde
from streams.settings import EmbeddedSettings
from tests.benchmarks.leak_worker import DYING, PROBE_S, RECOVERY_S
from tests.benchmarks.pages import written
from tests.child import Child, program
from tests.cluster import Cluster
from tests.eventually import eventually
from tests.questions import Deployment
from topology.embedded.kafka import EmbeddedKafka
from topology.topics import Topics

RATE = 100
WELL_S, DEAD_S, AFTER_S = 3.0, 8.0, 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One run. `leaked` are calls that began after the opening and before the first probe could."""

    how: str
    under_way: int
    leaked: int
    last_leak_ms: float
    probes: int
    spans: int
    closed_after_s: float
    results: int
    failed: int


def main() -> None:
    """Measure, print, and write unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dry-run", action="store_true", help="print the table and write nothing")
    given = parser.parse_args()
    ways = (("refuses at once", 0.0), ("hangs for 1 s, then fails", 1.0))
    with ExitStack() as stack:
        bootstrap = (
            os.environ.get("FORGESTREAM_KAFKA") or stack.enter_context(EmbeddedKafka(EmbeddedSettings())).bootstrap
        )
        seen = [_run(bootstrap, how, fails_after_s) for how, fails_after_s in ways for _ in range(given.runs)]
    shown = page(seen)
    print(shown)
    if not given.dry_run:
        written("circuits.md", "make leak", shown)


def _run(bootstrap: str, how: str, fails_after_s: float) -> Seen:
    prefix = f"leak-{uuid.uuid4().hex[:8]}-"
    deployment, cluster = Deployment(bootstrap, prefix), Cluster(bootstrap)
    deployment.provision()
    topics = deployment.topics
    cluster.adopt([topic.name for topic in topics], deployment.kafka.partitions)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        directory = Path(folder)
        for worker in ("worker-0", "worker-1"):
            arguments = (bootstrap, prefix, worker, folder, str(fails_after_s))
            child = Child(program("benchmarks.leak_worker", *arguments), directory / f"{worker}.log")
            stack.enter_context(child)
            stack.callback(child.stop)
            eventually((directory / f"{worker}.ready").exists, within_s=60, what=f"{worker} ready")
        asked = _ask(deployment, directory / "dead")
        eventually(
            lambda: cluster.stored([topics.results.name]) >= asked, within_s=60, what=f"{asked} results of {how}"
        )
        calls = sorted(
            json.loads(line)["at"] for path in directory.glob("*.calls") for line in path.read_text().splitlines()
        )
    return _judged(how, calls, cluster, topics, fails_after_s)


def _ask(deployment: Deployment, dead: Path) -> int:
    """Ask at a steady rate, let the model die and come back; returns the number of questions."""
    producer = Producer(
        {"bootstrap.servers": deployment.kafka.bootstrap, "partitioner": "murmur2_random", "linger.ms": 0}
    )
    began, number = time.monotonic(), 0
    while (passed_s := time.monotonic() - began) < WELL_S + DEAD_S + AFTER_S:
        if WELL_S <= passed_s < WELL_S + DEAD_S:
            dead.touch()
        else:
            dead.unlink(missing_ok=True)
        while number < passed_s * RATE:
            key, value = deployment.question(number)
            producer.produce(deployment.topics.texts.name, value, key)
            number += 1
        producer.poll(0)
        time.sleep(0.002)
    producer.flush(30)
    return number


def _judged(how: str, calls: Sequence[float], cluster: Cluster, topics: Topics, fails_after_s: float) -> Seen:
    ids = LockedIds()
    asyncio.run(
        ids.start({f"{topics.circuit_states.name}-value": CircuitState, f"{topics.results.name}-value": Result})
    )
    codec, results = serde(ids, topics.circuit_states.name, CircuitState), serde(ids, topics.results.name, Result)
    states = [codec.decode(stored.value) for stored in cluster.read(topics.circuit_states.name)]
    ours = [state for state in states if state.dependency == DYING]
    opened = next(state for state in ours if state.phase is Phase.OPEN)
    closed = next(state for state in ours if state.phase is Phase.CLOSED and state.opened)
    assert opened.since is not None
    assert opened.open_until is not None
    assert closed.since is not None
    at, half_open, well = opened.since.timestamp(), opened.open_until.timestamp(), closed.since.timestamp()
    leaked = [call for call in calls if at < call < half_open]
    ended = [results.decode(stored.value).status for stored in cluster.read(topics.results.name)]
    return Seen(
        how=how,
        under_way=sum(at - max(fails_after_s, 0.001) <= call <= at for call in calls),
        leaked=len(leaked),
        last_leak_ms=1000 * (max(leaked) - at) if leaked else 0.0,
        probes=sum(half_open <= call < well for call in calls),
        spans=sum(state.phase is Phase.OPEN for state in {state.since: state for state in ours}.values()),
        closed_after_s=well - half_open,
        results=len(ended),
        failed=sum(status not in {Status.OK, Status.DEGRADED} for status in ended),
    )


def page(seen: Sequence[Seen]) -> str:
    """Return the written part of the page."""
    lines = [
        (
            f"{datetime.now(UTC):%Y-%m-%d}, two workers and an embedded broker on {os.cpu_count()} cores, {RATE} requests/s, "
            f"recovery {RECOVERY_S:g} s, spans of {PROBE_S:g} s; the provider is dead for {DEAD_S:g} s. "
            f"Each line is a run. Load average at the end: {os.getloadavg()[0]:.0f}."
        ),
        "",
        "| the provider | calls begun after the opening | the last of them, ms | probes | times opened | answers | failed |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {one.how} | {one.leaked} | {one.last_leak_ms:.0f} | {one.probes} | {one.spans} | {one.results} | {one.failed} |"
            for one in seen
        ),
        "",
        f"Median: {statistics.median(one.leaked for one in seen):g} calls, {statistics.median(one.last_leak_ms for one in seen):.0f} ms.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
