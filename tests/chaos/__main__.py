"""The long form: `make chaos SEED=7 MINUTES=30` lets faults strike until the time is over, and writes docs/chaos.md.

Every random choice comes from the seed; a run that breaks a promise ends the whole with its seed and the workers' logs.
"""

import argparse
import json
import os
import platform
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from streams.settings import EmbeddedSettings
from tests.chaos.arena import HEAP_MB, PLACES, Brokers, Void, alone, arena
from tests.chaos.ledger import Audit
from tests.chaos.rows import Run, seeds, table
from tests.chaos.scenarios import SCENARIOS, Scenario
from topology.embedded.jars import JarLock
from topology.embedded.kafka import EmbeddedKafka

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("page.md")
LOCKS = {"3.9": Path(__file__).with_name("kafka-3.9.lock.json")}


def main(arguments: Sequence[str]) -> int:
    """Run until the time is over."""
    options = _options(arguments)
    lock = JarLock.read(LOCKS[options.kafka]) if options.kafka in LOCKS else JarLock.read()
    chosen = [SCENARIOS[name] for name in options.only] or list(SCENARIOS.values())
    until = time.monotonic() + options.minutes * 60
    print(f"seed {options.seed}, {options.minutes:g} minutes, Kafka {lock.kafka}", flush=True)
    runs = [each for file in options.add for each in _kept(file)]
    _write(runs, options.seed, options.out)
    turn = 0
    while time.monotonic() < until:
        for number, scenario in enumerate(chosen):
            if turn and time.monotonic() > until:
                break
            seed = f"{options.seed}/{turn}/{number}"
            faults, rate = options.faults or scenario.faults, min(scenario.rate, options.rate)
            runs.append(run(replace(scenario, faults=faults, rate=rate), lock, seed))
            print(_said(runs[-1], seed), flush=True)
            if runs[-1].audit.problems:
                return 1
            _write(runs, options.seed, options.out)
        turn += 1
    return 0


def run(scenario: Scenario, lock: JarLock, seed: str) -> Run:
    """Run a scenario once."""
    chance, memory = random.Random(seed), []
    with (
        _brokers(scenario.where, lock) as brokers,
        arena(
            brokers, entry=scenario.entry, rate=scenario.rate, clock=scenario.clock, session_s=scenario.session_s
        ) as here,
    ):
        try:
            for _ in range(scenario.faults):
                here.suffer(scenario.strike, chance)
                memory.append(here.crew.memory_mb())
            found = here.finish()
        except (AssertionError, Void) as error:
            raise SystemExit(f"{scenario.name}, seed {seed}: {error}") from error
        return Run(
            scenario=scenario.name,
            kafka=lock.kafka,
            faults=here.faults,
            recoveries_s=here.recoveries_s,
            crashes=here.crew.crashes,
            audit=found,
            memory_mb=memory if scenario.name == "soak" else (),
            seed=seed,
        )


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeat a run")
    parser.add_argument("--minutes", type=float, default=10.0, help="time after which no run begins")
    parser.add_argument("--kafka", default="4", choices=["4", *LOCKS], help="version line of the brokers")
    parser.add_argument("--faults", type=int, default=0, help="of one run; fewer when a fault is slow")
    parser.add_argument("--rate", type=int, default=300, help="records/s that are put in, at most")
    parser.add_argument("--only", nargs="*", default=[], choices=list(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--add", nargs="*", default=[], type=Path, help="files of earlier runs to begin with")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where chaos.md and chaos.json are written")
    return parser.parse_args(arguments)


@contextmanager
def _one(cache: str, lock: JarLock | None) -> Iterator[Brokers]:
    with (
        EmbeddedKafka(EmbeddedSettings(cache_dir=cache, heap_mb=HEAP_MB), lock=lock) as kafka,
        alone(kafka.bootstrap) as it,
    ):
        yield it


def _brokers(where: str, lock: JarLock) -> AbstractContextManager[Brokers]:
    cache = os.environ.get("FORGESTREAM_EMBEDDED_CACHE_DIR", "")
    return PLACES.get(where, _one)(cache, lock)


def _said(done: Run, seed: str) -> str:
    found = done.audit
    worst = max(done.recoveries_s, default=0.0)
    verdict = "; ".join(found.problems) or "all accounted for"
    return (
        f"{done.scenario:22} seed {seed:12} {done.faults} faults, {found.records:,} records, "
        f"{found.duplicated:,} duplicated, recovery up to {worst:.1f} s, {done.crashes} gave up: {verdict}"
    )


def _kept(file: Path) -> list[Run]:
    found = json.loads(file.read_text(encoding="utf-8"))
    return [Run(**{**each, "audit": Audit(**each["audit"])}) for each in found]


def _write(runs: Sequence[Run], seed: int, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "chaos.json").write_text(json.dumps([asdict(each) for each in runs], indent=1) + "\n", encoding="utf-8")
    meanings = "\n".join(
        f"| {scenario.name} | {scenario.meaning} | {scenario.where} |" for scenario in SCENARIOS.values()
    )
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    faults = sum(each.faults for each in runs)
    (out / "chaos.md").write_text(
        PAGE.read_text(encoding="utf-8").format(
            when=when,
            machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
            seed=seed,
            faults=faults,
            table=table(runs),
            seeds=seeds(runs),
            meanings=meanings,
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
