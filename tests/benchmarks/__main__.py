"""`make bench`: measure forgestream beside its peers. `ARGS="--only hop --quick"` for a part of it."""

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from streams.settings import EmbeddedSettings
from tests.benchmarks import drain, encoders, peers, pipeline, steady, voice
from tests.benchmarks.outcome import Run, Table, tabulate
from tests.benchmarks.plan import Bench, Plan, Unfinished
from tests.benchmarks.report import read, show, write
from tests.benchmarks.scenarios import scenarios
from tests.child import REPOSITORY
from tests.cluster import Cluster
from topology.embedded.cache import cache_directory
from topology.embedded.jars import JarLock
from topology.embedded.kafka import EmbeddedKafka

OURS = ("faust-streaming", "aiokafka", "confluent-kafka", "fastavro", "uvloop")
PEERS = ("quixstreams", "confluent-kafka")
QUICK_DIVISOR = 10


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="scenario, may be repeated")
    parser.add_argument("--worker", action="append", default=[], metavar="NAME", help="worker, may be repeated")
    parser.add_argument("--quick", action="store_true", help="a tenth of the records, one run")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each worker (default 3)")
    parser.add_argument("--oracle", default="", metavar="PYTHON", help="one that has sentence-transformers")
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="FILE",
        help="Markdown file to write, whose other tables stay; docs/benchmarks.md after a whole run",
    )
    return parser.parse_args(arguments)


@contextmanager
def broker() -> Iterator[str]:
    """Give the address of the cluster in FORGESTREAM_KAFKA, else of an embedded broker."""
    existing = os.environ.get("FORGESTREAM_KAFKA", "")
    if existing:
        yield existing
        return
    with EmbeddedKafka(EmbeddedSettings()) as kafka:
        yield kafka.bootstrap


def facts(peer_python: str) -> Mapping[str, str]:
    """Return what a reader needs to judge the numbers."""
    listed = {
        "forgestream's environment": peers.versions(sys.executable, OURS),
        "environment of Quix Streams": peers.versions(peer_python, PEERS),
    }
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {model[0].partition(': ')[2] if model else '?'}, {memory_kb >> 20} GiB",
        "system": f"{platform.platform()}, Python {platform.python_version()}",
        "broker": os.environ.get("FORGESTREAM_KAFKA") or f"Apache Kafka {JarLock.read().kafka}, embedded, one node",
        **{name: ", ".join(f"{package} {number}" for package, number in of.items()) for name, of in listed.items()},
        "command": f"python -m tests.benchmarks {' '.join(_said(sys.argv[1:]))}".strip(),
    }


def measure(plan: Plan, workers: Sequence[str], repeat: int, console: Console) -> Table:
    """Run the workers of a scenario in turns."""
    runs: list[Run] = []
    for turn in range(repeat):
        for worker in plan.workers:
            if (workers and worker not in workers) or (turn and worker in plan.once):
                continue
            with console.status(f"{plan.name}: {worker}, run {turn + 1} of {repeat}"):
                runs.append(plan.run(worker))
    return tabulate(
        plan.name,
        plan.title,
        target=plan.target,
        note=plan.note,
        measured=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        runs=runs,
        less_is_better=plan.less_is_better,
    )


def _said(arguments: Sequence[str]) -> Sequence[str]:
    """Leave out where a Python is: that is this machine's."""
    return ["PYTHON" if argument.endswith("/python") else argument for argument in arguments]


def plans(bench: Bench, divisor: int, oracle: str) -> Iterator[Plan]:
    """Yield every scenario, in the order of the report."""
    for scenario in scenarios(divisor=divisor):
        yield drain.plan(bench, scenario)
    yield from steady.plans(bench, divisor=divisor)
    yield from pipeline.plans(bench, divisor=divisor)
    yield from encoders.plans(oracle)
    yield from voice.plans(divisor=divisor)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write."""
    chosen = options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that broker and workers end too
    console = Console() if sys.stdout.isatty() else Console(width=140)
    peer_python = peers.python_of(peers.PEERS, cache_directory("", os.environ))
    repeat, divisor = (1, QUICK_DIVISOR) if chosen.quick else (chosen.repeat, 1)
    pythons = dict.fromkeys(("forgestream", "librdkafka", "plain_faust"), sys.executable) | {"quix": peer_python}
    failed: list[str] = []
    with broker() as bootstrap, tempfile.TemporaryDirectory(prefix="forgestream-bench-") as logs:
        cluster = Cluster(bootstrap)
        bench = Bench(cluster, pythons, Path(logs))
        whole = not (chosen.only or chosen.worker or chosen.quick)
        out = chosen.out or (REPOSITORY / "docs" / "benchmarks.md" if whole else None)
        tables = {table.name: table for table in read(out)} if out is not None and not whole else {}
        for plan in plans(bench, divisor, chosen.oracle):
            if chosen.only and plan.name not in chosen.only:
                continue
            if chosen.worker and not set(chosen.worker) & set(plan.workers):
                continue
            try:
                tables[plan.name] = measure(plan, chosen.worker, repeat, console)
            except Unfinished as unfinished:
                console.print(f"{plan.name}: {unfinished}", style="red", markup=False)
                failed.append(plan.name)
                continue
            show(console, tables[plan.name])
            if out is not None:
                write(out, facts(peer_python), list(tables.values()))
        bench.close()
    if failed:
        console.print(f"not measured: {', '.join(failed)}", style="red")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
