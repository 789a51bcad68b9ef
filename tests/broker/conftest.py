"""Fixtures for tests that start brokers of their own; to use one, take `kafka`."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.shared_broker import ROOT
from topology.embedded.cache import cache_directory
from topology.embedded.distribution import prepare

PARENT = """
import sys, time
from streams.settings import EmbeddedSettings
from topology.embedded.kafka import EmbeddedKafka

kafka = EmbeddedKafka(EmbeddedSettings(cache_dir=sys.argv[1], data_dir=sys.argv[2]))
kafka.start()
print(kafka.bootstrap, kafka.pid, kafka.directory, flush=True)
if sys.argv[3] == "stay":
    time.sleep(600)
"""


class Owner(NamedTuple):
    """A process with a broker; `java` is the broker's own process."""

    process: "subprocess.Popen[str]"
    bootstrap: str
    java: int
    directory: Path


@pytest.fixture(scope="session")
def cache() -> Path:
    """The machine's cache, filled."""
    directory = cache_directory(os.environ.get("FORGESTREAM_EMBEDDED_CACHE_DIR", ""), os.environ)
    prepare(directory)
    return directory


@pytest.fixture
def owner(cache: Path, tmp_path: Path) -> Iterator[Callable[..., Owner]]:
    """Start a process of its own that owns a broker and stays, or leaves at once without stopping it."""
    started: list[subprocess.Popen[str]] = []

    def start(data: Path | str, how: str = "stay") -> Owner:
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(cache), str(data), how],
            cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)},
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        bootstrap, java, directory = process.stdout.readline().split()
        return Owner(process, bootstrap, int(java), Path(directory))

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
