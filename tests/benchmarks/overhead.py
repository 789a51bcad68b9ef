"""`make overhead`: what routing adds to a call, at 300 requests/s, beside LiteLLM's router. Writes a table of docs/routing.md.

LiteLLM needs an environment of its own: `python -m venv DIR && DIR/bin/pip install litellm uvloop`, then
`make overhead ARGS="--litellm DIR/bin/python"`.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from schemas.records import Answer, Prompt
from schemas.registry import LockedIds, serde
from streams.settings import EmbeddedSettings
from tests.benchmarks.child import Measured
from tests.benchmarks.pace import Course, latencies_ms
from tests.benchmarks.pages import written
from tests.benchmarks.peers import versions
from tests.child import forgestream
from tests.cluster import Cluster
from tests.given import a_prompt, a_request, an_origin
from tests.questions import Deployment
from topology.embedded.kafka import EmbeddedKafka

PROGRAMS = Path(__file__).parent / "programs"
PER_S = 300
FIGURES = ("p50 ms", "p99 ms", "CPU ms")
Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to get an answer; what it adds is told against `beside`."""

    name: str
    run: Callable[[], Figures]
    beside: str = ""
    per_s: float = PER_S


def main() -> None:
    """Measure, print, and write unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--http-per-s", type=float, default=100.0, help="calls per second of a server by HTTP")
    parser.add_argument("--litellm", default="", help="Python of an environment with LiteLLM")
    parser.add_argument("--dry-run", action="store_true", help="print the table and write nothing")
    given = parser.parse_args()
    with ExitStack() as stack:
        url = stack.enter_context(_provider())
        bootstrap = (
            os.environ.get("FORGESTREAM_KAFKA") or stack.enter_context(EmbeddedKafka(EmbeddedSettings())).bootstrap
        )
        ways = list(_ways(url, bootstrap, given))
        seen: dict[str, list[Figures]] = {way.name: [] for way in ways}
        for _ in range(given.runs):
            for way in ways:
                seen[way.name].append(way.run())
                print(f"{way.name}: {seen[way.name][-1]}", file=sys.stderr, flush=True)
    shown = _page(ways, seen, given.litellm)
    print(shown)
    if not given.dry_run:
        written("routing.md", "make overhead", shown)


def _ways(url: str, bootstrap: str, given: argparse.Namespace) -> Iterator[Way]:
    litellm, seconds, per_s = given.litellm, given.seconds, given.http_per_s
    peers = {"forgestream's environment": sys.executable, **({"LiteLLM's environment": litellm} if litellm else {})}
    for where, python in peers.items():
        yield Way(
            name=f"OpenAI's SDK alone, {where}",
            run=partial(_program, python, "litellm_router", "direct", url, per_s, seconds),
            per_s=per_s,
        )
    yield Way(
        name="forgestream's router, the same server",
        run=partial(_program, sys.executable, "our_router", "http", url, per_s, seconds),
        per_s=per_s,
        beside="OpenAI's SDK alone, forgestream's environment",
    )
    if litellm:
        yield Way(
            name="LiteLLM's router, the same server",
            run=partial(_program, litellm, "litellm_router", "routed", url, per_s, seconds),
            per_s=per_s,
            beside="OpenAI's SDK alone, LiteLLM's environment",
        )
    yield Way(
        name="forgestream's router, a model of the same process",
        run=partial(_program, sys.executable, "our_router", "echo", url, PER_S, seconds),
    )
    yield Way(
        name="a worker on Kafka, from `prompts` to `answers`, a model of the same process",
        run=partial(_worker, bootstrap, {"FORGESTREAM_ROUTE_MODELS": "echo"}, PER_S, seconds),
    )
    paid = {"FORGESTREAM_ROUTE_MODELS": "compatible:instant", "FORGESTREAM_ROUTE_COMPATIBLE_URL": url}
    yield Way(
        name="a worker on Kafka, from `prompts` to `answers`, the same server, effects logged",
        run=partial(_worker, bootstrap, paid, per_s, seconds),
        per_s=per_s,
    )


@contextmanager
def _provider() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, PROGRAMS / "instant_provider.py"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.communicate()


def _program(python: str, name: str, how: str, url: str, per_s: float, seconds: float) -> Figures:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(PROGRAMS.parents[2]), str(PROGRAMS)))}
    done = subprocess.run(
        [python, str(PROGRAMS / f"{name}.py"), how, url, str(per_s), str(seconds)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def _worker(bootstrap: str, environment: Mapping[str, str], per_s: float, seconds: float) -> Figures:
    deployment, cluster = Deployment(bootstrap, f"overhead-{uuid4().hex[:8]}-"), Cluster(bootstrap)
    deployment.provision()
    topics = deployment.topics
    cluster.adopt([topic.name for topic in topics], deployment.kafka.partitions)
    ids = LockedIds()
    asyncio.run(ids.start({f"{topics.prompts.name}-value": Prompt, f"{topics.answers.name}-value": Answer}))
    prompts, answers = serde(ids, topics.prompts.name, Prompt), serde(ids, topics.answers.name, Answer)

    def prompt(number: int) -> tuple[bytes, bytes]:
        now = datetime.now(UTC)
        origin = replace(an_origin(f"request-{number}"), event_time=now, deadline=now + timedelta(seconds=60))
        made = a_prompt(request=a_request(f"Who wrote volume {number}?", origin=origin))
        return origin.request_id.encode(), prompts.encode(made)

    course = Course(
        reads=topics.prompts.name,
        writes=topics.answers.name,
        partitions=deployment.kafka.partitions,
        per_s=per_s,
        records=int(per_s * seconds),
        record=prompt,
        sequence_of=lambda value: int(answers.decode(value).origin.request_id.partition("-")[2]),
    )
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "worker.log"
        child = Measured(forgestream("worker", "--unit", "inference"), log, {**deployment.environment, **environment})
        with child:
            took = sorted(latencies_ms(cluster, course, child.sample))
            child.sample()
            cpu_s = child.cpu_of_last_two
            child.stop()
    return {
        "p50 ms": took[len(took) // 2],
        "p99 ms": took[len(took) * 99 // 100],
        "CPU ms": 1000 * cpu_s / len(took),
    }


def _page(ways: Sequence[Way], seen: Mapping[str, Sequence[Figures]], litellm: str) -> str:
    middle = {
        name: {figure: statistics.median(run[figure] for run in runs) for figure in FIGURES}
        for name, runs in seen.items()
    }
    named = versions(litellm, ("litellm", "openai")) if litellm else {}
    lines = [
        (
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores shared by everything, medians of "
            f"{len(next(iter(seen.values())))} runs that take turns. Load average at the end: {os.getloadavg()[0]:.1f}. "
            + ", ".join(f"{name} {version}" for name, version in named.items())
        ).rstrip(", "),
        "",
        "| way to an answer | per s | p50, ms | p99, ms | CPU per call, ms | added: p50 | p99 | CPU |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for way in ways:
        own, beside = middle[way.name], middle.get(way.beside)
        added = [f"{own[figure] - beside[figure]:.2f}" if beside else "" for figure in own]
        cells = (way.name, f"{way.per_s:.0f}", *(f"{value:.2f}" for value in own.values()), *added)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
