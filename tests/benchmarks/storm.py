"""`make storm`: providers on a bad day, at 50 requests a second. Writes a table of docs/routing.md.

A real worker on a real broker; the providers are servers on loopback that speak their real protocols, in another process.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from schemas.records import Status
from streams.settings import EmbeddedSettings
from tests.benchmarks.child import Measured
from tests.benchmarks.pace import Course, latencies_ms
from tests.benchmarks.pages import written
from tests.benchmarks.storm_providers import PERIOD_S, SLOW_S
from tests.child import REPOSITORY, forgestream, program
from tests.cluster import Cluster
from tests.loopback.cases import MODELS
from tests.pipeline.storm import GOOD, PROVIDERS, weathers
from tests.questions import Deployment
from topology.embedded.kafka import EmbeddedKafka

DEADLINE_S = 20.0
LATE_MS = 100.0
RECOVERY_S, PROBE_S = 5.0, 1.0
ENVIRONMENT = {
    "FORGESTREAM_ROUTE_MODELS": ",".join(MODELS[kind] for kind in PROVIDERS),
    "FORGESTREAM_ROUTE_EXPLORE_SHARE": "0",
    "FORGESTREAM_WATCH_RECOVERY_S": str(RECOVERY_S),
    "FORGESTREAM_WATCH_PROBE_S": str(PROBE_S),
    "FORGESTREAM_TELEMETRY_LOG_LEVEL": "error",
}
UNITS = ("intake", "inference", "delivery")  # without champions the order of the models stays as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of the questions in one weather, without those of the warm-up, in which the worker starts."""

    name: str
    statuses: Mapping[str, int]
    contradicted: int  # results that say something else than an earlier one
    late: int
    took_ms: Sequence[float]
    calls: Mapping[str, int]


def main() -> None:
    """Ask, print, and write unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each weather")
    parser.add_argument("--per-s", type=int, default=50, help="questions per second")
    parser.add_argument("--only", default="", help="weathers whose name holds this")
    parser.add_argument("--dry-run", action="store_true", help="print the table and write nothing")
    given = parser.parse_args()
    with ExitStack() as stack:
        bootstrap = (
            os.environ.get("FORGESTREAM_KAFKA") or stack.enter_context(EmbeddedKafka(EmbeddedSettings())).bootstrap
        )
        seen = []
        for weather in weathers(SLOW_S, PERIOD_S):
            if given.only in weather.name:
                seen.append(_asked(bootstrap, weather.name, given.seconds, given.per_s))
                print(_row(seen[-1]), file=sys.stderr, flush=True)
    shown = _page(seen, given.seconds, given.per_s)
    print(shown)
    if not given.dry_run:
        written("routing.md", "make storm", shown)


def _asked(bootstrap: str, weather: str, seconds: float, per_s: int) -> Seen:
    deployment, cluster = Deployment(bootstrap, f"storm-{uuid4().hex[:8]}-"), Cluster(bootstrap)
    deployment.provision()
    cluster.adopt([topic.name for topic in deployment.topics], deployment.kafka.partitions)
    course = Course(
        reads=deployment.topics.texts.name,
        writes=deployment.topics.results.name,
        partitions=deployment.kafka.partitions,
        per_s=per_s,
        records=int(per_s * seconds),
        record=lambda number: deployment.question(number, within=timedelta(seconds=DEADLINE_S), max_tokens=4),
        sequence_of=deployment.number_of,
    )
    units = [word for unit in UNITS for word in ("--unit", unit)]
    with tempfile.TemporaryDirectory() as folder, _providers(weather) as (environment, calls):
        child = Measured(
            forgestream("worker", *units),
            Path(folder) / "worker.log",
            {**deployment.environment, **ENVIRONMENT, **environment},
        )
        with child:
            took_ms = latencies_ms(cluster, course, child.sample)
            child.stop()
    results = [
        result for result in deployment.every_result(cluster) if int(result.origin.correlation_id) >= course.warm_up
    ]
    last = {result.origin.request_id: result.status for result in results}
    return Seen(
        name=weather,
        statuses=Counter(last.values()),
        contradicted=len({(one.origin.request_id, one.status, one.text) for one in results}) - len(last),
        late=sum(ms > 1000 * DEADLINE_S + LATE_MS for ms in took_ms),
        took_ms=took_ms,
        calls=calls,
    )


@contextmanager
def _providers(weather: str) -> Iterator[tuple[Mapping[str, str], dict[str, int]]]:
    """Yield the settings that reach the providers, and their calls, which are known at the end."""
    calls: dict[str, int] = {}
    process = subprocess.Popen(
        program("benchmarks.storm_providers", weather), stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline()), calls
        process.send_signal(signal.SIGTERM)
        calls |= json.loads(process.communicate(timeout=20)[0])
    finally:
        process.kill()
        process.communicate()


def _page(seen: Sequence[Seen], seconds: float, per_s: int) -> str:
    names = ", ".join(PROVIDERS)
    lines = [
        (
            f"{datetime.now(UTC):%Y-%m-%d}, a worker, an embedded broker and the providers on {os.cpu_count()} cores, {per_s} requests/s "
            f"for {seconds:.0f} s each after a warm-up, deadline {DEADLINE_S:.0f} s, circuits half open after {RECOVERY_S:.0f} s; slow is "
            f"{SLOW_S:.0f} s to the first token, flapping {PERIOD_S:.0f} s well and {PERIOD_S:.0f} s down. "
            f"Load average at the end: {os.getloadavg()[0]:.0f}."
        ),
        "",
        f"| the providers | asked | without an answer | second, other results | late | p50, ms | p99, ms | calls of {names} |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
        *map(_row, seen),
    ]
    return "\n".join(lines)


def _row(one: Seen) -> str:
    asked = sum(one.statuses.values())
    percentiles = statistics.quantiles(one.took_ms, n=100, method="inclusive")
    cells = (
        one.name,
        f"{asked:,}",
        f"{asked - sum(one.statuses.get(status, 0) for status in GOOD):,}{_why(one.statuses)}",
        f"{one.contradicted:,}",
        f"{one.late:,}",
        f"{percentiles[49]:,.0f}",
        f"{percentiles[98]:,.0f}",
        ", ".join(f"{count:,}" for count in one.calls.values()),
    )
    return f"| {' | '.join(cells)} |"


def _why(statuses: Mapping[str, int]) -> str:
    found = [f"{count:,} {status}" for status, count in statuses.items() if Status(status) not in GOOD]
    return f" ({', '.join(found)})" if found else ""


if __name__ == "__main__":
    main()
