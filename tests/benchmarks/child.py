"""A worker under measurement: its CPU time and memory as /proc tells them."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.child import Child

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Measured(Child):
    """A child whose CPU time is noted now and then."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(command, log, environment)
        self._samples: list[tuple[float, float]] = []
        self.rss_mb = 0.0

    def sample(self) -> None:
        """Note the CPU time used so far and the largest memory; nothing new when it has ended."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return
        self._samples.append((time.time(), (int(fields[11]) + int(fields[12])) / TICKS_PER_S))
        peaks = [int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")]
        self.rss_mb = max([self.rss_mb, *peaks])

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all threads from its start to the last sample."""
        return self._samples[-1][1] if self._samples else 0.0

    @property
    def cpu_of_last_two(self) -> float:
        """CPU seconds between the last two samples."""
        return self._samples[-1][1] - self._samples[-2][1]

    def cpu_between(self, start: float, end: float) -> float:
        """CPU seconds between the samples just before `start` and just after `end` (seconds since 1970)."""
        before = [cpu for at, cpu in self._samples if at <= start]
        after = [cpu for at, cpu in self._samples if at >= end]
        return (after[0] if after else self.cpu_s) - (before[-1] if before else 0.0)
