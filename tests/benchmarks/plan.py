"""What all scenarios are to the runner: who takes part, and how one run of one of them is measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from tests.benchmarks.child import Measured
from tests.benchmarks.job import Job
from tests.benchmarks.outcome import Run
from tests.child import program
from tests.cluster import Cluster

BROKER_CLOCK = {"message_timestamp_type": "LogAppendTime"}  # the one clock all workers are measured by


class Unfinished(RuntimeError):
    """A worker ended or hung before its work was done."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where workers run: the cluster, the Python of each worker, and where their output goes."""

    cluster: Cluster
    python_of: Mapping[str, str]
    logs: Path
    topics: list[str] = field(default_factory=list)  # to be deleted at the end

    def topic(self, name: str, partitions: int) -> str:
        """Create a topic nobody else has."""
        [made] = self.create([name], partitions)
        return made

    def create(self, names: list[str], partitions: int) -> list[str]:
        """Create topics nobody else has; returns their full names."""
        full = [f"bench-{name}-{uuid4().hex[:8]}" for name in names]
        self.cluster.create(full, partitions, **BROKER_CLOCK)
        self.topics.extend(full)
        return full

    def worker(self, name: str, job: Job) -> Measured:
        """Return the process of a worker, not yet started."""
        command = program(f"benchmarks.programs.{name}", job.dump(), python=self.python_of[name])
        return Measured(command, self.logs / f"{job.group}.log")

    def close(self) -> None:
        """Delete every topic made here."""
        self.cluster.delete(self.topics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One scenario, ready to be measured."""

    name: str
    title: str
    target: str
    workers: tuple[str, ...]
    run: Callable[[str], Run]
    once: frozenset[str] = frozenset()  # workers too slow to repeat
    less_is_better: bool = False
    note: str = ""
