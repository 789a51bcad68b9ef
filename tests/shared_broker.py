"""One broker for all workers of a test run: the first that needs it starts it, with the last one it goes.

A worker holds a shared kernel lock (the lease) for as long as it wants the broker. The host process below takes the
same lock alone as soon as nobody holds it, and ends. A lock dies with its holder, so a worker that is killed is gone.
`python -m tests.shared_broker <directory> <embedded|docker>` is the host; tests use `lease`.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from streams.errors import EmbeddedStackFailed
from streams.settings import EmbeddedSettings
from topology.embedded.cache import locked
from topology.embedded.kafka import EmbeddedKafka
from topology.embedded.properties import MESSAGE_MAX_BYTES

ROOT = Path(__file__).parents[1]
START_S = 300.0  # the first start on a machine downloads Kafka
STOP_S = 30.0
POLL_S = 0.05


@contextmanager
def lease(directory: Path, engine: str) -> Iterator[str]:
    """Yield the address of the run's broker; starts it when there is none, stops it after the last lease.

    Raises:
        EmbeddedStackFailed: it did not start; with its own message.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lease").open("ab") as held:
        with locked(directory / "start"):
            fcntl.flock(held, fcntl.LOCK_SH)  # waits for a host that is just ending
            if not _is_hosted(directory):
                _start_host(directory, engine)
            address = (directory / "bootstrap").read_text(encoding="ascii")
        yield address
        last = _taken(held)
    if last:
        _await_end(directory)


def _start_host(directory: Path, engine: str) -> None:
    (directory / "bootstrap").unlink(missing_ok=True)
    with (directory / "host.log").open("wb") as log:
        host = subprocess.Popen(
            [sys.executable, "-m", "tests.shared_broker", str(directory), engine],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_S
    while not (directory / "bootstrap").exists():
        if host.poll() is not None or time.monotonic() > deadline:
            host.kill()
            raise EmbeddedStackFailed((directory / "host.log").read_text(encoding="utf-8", errors="replace"))
        time.sleep(POLL_S)
    host.returncode = 0  # it outlives this process: not a child to be waited for


def _await_end(directory: Path) -> None:
    deadline = time.monotonic() + STOP_S
    while _is_hosted(directory) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _is_hosted(directory: Path) -> bool:
    with (directory / "host").open("ab") as file:
        return not _taken(file)


def _taken(file: IO[bytes]) -> bool:
    """Take the file's lock alone if nobody else holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _host(directory: Path, engine: str) -> None:
    with ExitStack() as stack:
        fcntl.flock(stack.enter_context((directory / "host").open("ab")), fcntl.LOCK_EX)
        held = stack.enter_context((directory / "lease").open("ab"))
        address = directory / "bootstrap"
        written = directory / "bootstrap.new"
        written.write_text(_broker(stack, engine), encoding="ascii")
        written.replace(address)
        while not _taken(held):
            time.sleep(POLL_S)
        address.unlink()


def _broker(stack: ExitStack, engine: str) -> str:
    if engine == "embedded":
        settings = EmbeddedSettings(cache_dir=os.environ.get("FORGESTREAM_EMBEDDED_CACHE_DIR", ""))
        return stack.enter_context(EmbeddedKafka(settings)).bootstrap
    from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415 - only where it is asked for

    container = KafkaContainer().with_kraft()
    container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    container.with_env("KAFKA_MESSAGE_MAX_BYTES", str(MESSAGE_MAX_BYTES))
    container.with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
    return str(stack.enter_context(container).get_bootstrap_server())


def main(arguments: list[str]) -> int:
    """Host a broker until the last lease is gone."""
    try:
        _host(Path(arguments[0]), arguments[1])
    except EmbeddedStackFailed as error:
        sys.stderr.write(error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
