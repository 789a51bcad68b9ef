"""A worker as a process of its own, watched through /proc."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

REPOSITORY = Path(__file__).parents[2]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STOP_S = 20.0


class Child:
    """A child process in a session of its own; nothing of it outlives the `with` block."""

    def __init__(self, command: Sequence[str], log: IO[bytes], environment: Mapping[str, str] | None = None) -> None:
        self.command = command
        self._log = log
        self._environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})}
        self._samples: list[tuple[float, float]] = []
        self.rss_mb = 0.0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            env=self._environment,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def returncode(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.poll()

    def sample(self) -> None:
        """Note the CPU time used so far and the largest memory."""
        self._samples.append((time.time(), self.cpu_s()))

    def cpu_s(self) -> float:
        """CPU seconds of all threads so far; the last known when it has ended."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return self._samples[-1][1] if self._samples else 0.0
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def cpu_between(self, start: float, end: float) -> float:
        """CPU seconds between the samples just before `start` and just after `end` (seconds since 1970)."""
        before = [cpu for at, cpu in self._samples if at <= start] or [0.0]
        after = [cpu for at, cpu in self._samples if at >= end] or [self._samples[-1][1]]
        return after[0] - before[-1]

    def kill(self) -> None:
        """Send SIGKILL to it and to everything it has started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to stop; kill it when it does not."""
        if self._process.poll() is not None:
            return
        self.rss_mb = self._peak_mb()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def _peak_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return int(peaks[0]) / 1024 if peaks else 0.0


def program(name: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """Return the command that runs one of tests/benchmarks/programs."""
    return [python, "-m", f"tests.benchmarks.programs.{name}", *arguments]
