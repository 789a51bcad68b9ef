"""Runs of scenarios, added up for the published table."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.arena import WORKERS
from tests.chaos.ledger import Audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a scenario."""

    scenario: str
    kafka: str
    faults: int
    recoveries_s: Sequence[float]
    crashes: int  # workers that ended by themselves and were started again
    audit: Audit
    memory_mb: Sequence[float] = ()  # of all workers together, after each fault
    seed: str = ""  # of every random choice; runs from before it was kept have none


HEAD = (
    "| scenario | Kafka | runs | faults | records | lost | duplicated | not identical | keys out of order | rows wrong "
    "| workers that gave up | recovery p50 | max | memory of a worker |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
)


def table(runs: Iterable[Run]) -> str:
    """Return the table in Markdown, one row per scenario and version of Kafka."""
    together: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        together[run.scenario, run.kafka].append(run)
    return "\n".join([HEAD, *(_row(name, kafka, found) for (name, kafka), found in together.items())])


def _row(name: str, kafka: str, runs: Sequence[Run]) -> str:
    audits = [run.audit for run in runs]
    took = [seconds for run in runs for seconds in run.recoveries_s]
    cells = [
        name,
        kafka,
        len(runs),
        sum(run.faults for run in runs),
        f"{sum(audit.records for audit in audits):,}",
        sum(audit.lost for audit in audits),
        f"{sum(audit.duplicated for audit in audits):,}",
        sum(audit.differing for audit in audits),
        sum(audit.disordered for audit in audits),
        sum(audit.miscounted for audit in audits),
        sum(run.crashes for run in runs),
        f"{statistics.median(took):.1f} s" if took else "",
        f"{max(took):.1f} s" if took else "",
        "; ".join(
            f"{run.memory_mb[0] / WORKERS:.0f} to {run.memory_mb[-1] / WORKERS:.0f} MB" for run in runs if run.memory_mb
        ),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def seeds(runs: Iterable[Run]) -> str:
    """Return the seeds of the runs in Markdown, one line per scenario and version of Kafka."""
    together: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for run in runs:
        if run.seed:
            together[run.scenario, run.kafka].append(f"`{run.seed}` ({run.faults})")
    return "\n".join(f"- {name}, {kafka}: {', '.join(found)}" for (name, kafka), found in together.items())
