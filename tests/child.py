"""A worker as a process of its own; nothing of it outlives the `with` block."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

REPOSITORY = Path(__file__).parents[1]
STOP_S = 20.0


class Child:
    """A child process in a session of its own. What it prints goes to `log`, appended."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        self.environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed worker has its bytecode
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, once more if it has ended."""
        assert self.returncode is not None or self._process is None, "it still runs"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=REPOSITORY,
                env=self.environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the latest start."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code; None while it runs and before it was started."""
        return self._process.poll() if self._process is not None else None

    def kill(self) -> None:
        """Send SIGKILL to it and to all it has started; nothing happens when it has ended."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> int:
        """Ask it to stop, kill it when it does not; returns the exit code."""
        assert self._process is not None, "not started"
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.wait()

    def tail(self) -> str:
        """Return the end of what it printed."""
        return self.log.read_text(errors="replace")[-3000:]


def forgestream(*arguments: str) -> list[str]:
    """Return a command of the command line, as installed by `make install`."""
    return [sys.executable, "-c", "import sys; from topology.cli import main; sys.exit(main())", *arguments]


def program(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """Return the command that runs a module of the tests."""
    return [python, "-m", f"tests.{module}", *arguments]
