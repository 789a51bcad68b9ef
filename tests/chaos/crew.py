"""Workers of one unit, started anew whenever they end, as an orchestrator does."""

import json
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from tests.chaos.programs.bookkeeper import Post
from tests.child import Child, program
from tests.eventually import eventually

POLL_S = 0.05
BACK_OFF_S = 0.5
JOIN_S = 90.0
GAVE_UP = 1  # exit code of a worker that ends by itself


class Crew:
    """Some workers, by number; whoever ends without being asked to is started again and counted as crashed."""

    def __init__(self, post: Post, directory: Path) -> None:
        self._post = post
        self._directory = directory
        self._workers: dict[int, Child] = {}
        self._frozen: set[int] = set()
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self.crashes = 0

    @property
    def numbers(self) -> list[int]:
        """The workers there are."""
        return sorted(self._workers)

    def add(self, number: int) -> None:
        """Start a worker."""
        post = replace(self._post, worker=f"worker-{number}")
        command = program("chaos.programs.bookkeeper", json.dumps(asdict(post)))
        child = Child(command, self._directory / f"worker-{number}.log")
        with self._lock:
            child.start()
            self._workers[number] = child

    def remove(self, number: int) -> int:
        """Ask a worker to stop for good; returns its exit code."""
        with self._lock:
            child = self._workers.pop(number)
        return child.stop()

    def kill(self, number: int) -> None:
        """Kill a worker; it is started again at once."""
        with self._lock:
            self._workers[number].kill()
            self._frozen.discard(number)
            self._workers[number].start()

    def restart(self, number: int) -> int:
        """Ask a worker to stop and start it again; returns its exit code."""
        with self._lock:
            code = self._workers[number].stop()
            self._workers[number].start()
        return code

    def freeze(self, number: int) -> None:
        """Stop a worker in the middle of whatever it does."""
        with self._lock:
            self._frozen.add(number)
            os.killpg(self._workers[number].pid, signal.SIGSTOP)

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a worker a signal."""
        with self._lock:
            os.kill(self._workers[number].pid, what)

    def limit(self, number: int, what: int, most: int) -> None:
        """Change how much of something a worker may have; its successor is free again."""
        with self._lock:
            resource.prlimit(self._workers[number].pid, what, (most, resource.RLIM_INFINITY))

    def address_space(self, number: int) -> int:
        """Return the bytes a worker has mapped."""
        with self._lock:
            pages = Path(f"/proc/{self._workers[number].pid}/statm").read_text(encoding="ascii").split()[0]
        return int(pages) * resource.getpagesize()

    def memory_mb(self) -> float:
        """Return the resident memory of all workers together."""
        with self._lock:
            found = [Path(f"/proc/{child.pid}/status").read_text(encoding="ascii") for child in self._workers.values()]
        return sum(int(kb) for text in found for kb in re.findall(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)) / 1024

    def thaw(self, number: int) -> None:
        """Let a frozen worker go on as if nothing had happened."""
        with self._lock:
            self._frozen.discard(number)
            os.killpg(self._workers[number].pid, signal.SIGCONT)

    def assignments(self, number: int) -> list[int]:
        """Return the group generations in which a worker was given partitions, all its lives together."""
        text = (self._directory / f"worker-{number}.log").read_text(errors="replace")
        return [int(found) for found in re.findall(r"^assigned \d+ generation (-?\d+)$", text, re.MULTILINE)]

    def await_joined(self, number: int, lives: int) -> None:
        """Wait until a worker has been given partitions that many times."""
        eventually(
            lambda: len(self.assignments(number)) >= lives, within_s=JOIN_S, what=f"worker-{number} is given partitions"
        )

    def tails(self) -> str:
        """Return the end of every log."""
        return "\n".join(f"--- worker-{number}\n{child.tail()}" for number, child in sorted(self._workers.items()))

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Start again whoever ends, until the block ends; then nobody is left."""
        attendant = threading.Thread(target=self._attend, name="attendant", daemon=True)
        attendant.start()
        try:
            yield
        finally:
            self._ended.set()
            attendant.join()
            for child in self._workers.values():
                child.kill()

    def dismiss(self) -> list[int]:
        """Ask all to stop; returns their exit codes. One that gives up at that moment has crashed."""
        self._ended.set()
        with self._lock, ThreadPoolExecutor(len(self._workers)) as pool:
            codes = list(pool.map(Child.stop, self._workers.values()))
        self.crashes += codes.count(GAVE_UP)
        return codes

    def _attend(self) -> None:
        while not self._ended.wait(POLL_S):
            with self._lock:
                ended = [child for child in self._workers.values() if child.returncode is not None]
            if ended:
                time.sleep(BACK_OFF_S)
            with self._lock:
                for child in ended:
                    if child in self._workers.values() and child.returncode is not None and not self._ended.is_set():
                        self.crashes += 1
                        child.start()
