"""One real Kafka broker on 127.0.0.1, started and stopped with the `with` block that holds it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from streams.errors import EmbeddedStackFailed
from streams.settings import EmbeddedSettings
from topology.embedded import storage, supervisor
from topology.embedded.cache import cache_directory, disk_errors
from topology.embedded.distribution import Distribution, prepare
from topology.embedded.jars import Fetch, JarLock, Progress, fetch_from_maven
from topology.embedded.ports import PORT_SETTING, chosen_ports
from topology.embedded.properties import Node, java_command, last_lines, server_properties
from topology.embedded.ready import has_leaders, impatient_client, serves_groups

START_S = 90.0  # a big directory is recovered after a kill
GRACE_S = 20.0
TRIES = 3
POLL_S = 0.02
WATCH_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a broker stands: alone on free ports, or a node of a cluster."""

    node_id: int = 1
    cluster_id: str = ""
    ports: tuple[int, int] | None = None  # for clients and for controllers
    voters: tuple[str, ...] = ()
    proxied: tuple[int, int] | None = None

    def node(self, directory: Path, ports: tuple[int, int]) -> Node:
        """Return the node at this place."""
        port, controller_port = ports
        return Node(
            directory=directory,
            port=port,
            controller_port=controller_port,
            node_id=self.node_id,
            voters=self.voters,
            proxied=self.proxied,
        )


class EmbeddedKafka:
    """`async with EmbeddedKafka(settings.embedded) as kafka:` gives a broker at `kafka.bootstrap`.

    The same works with a plain `with`, for test fixtures. Whatever way this process ends, the broker ends too; with a
    data directory configured the next start has the data again. `place` puts it at a given node of a cluster, `lock` is another
    version of Kafka than the usual one.
    """

    def __init__(
        self,
        settings: EmbeddedSettings,
        *,
        on_progress: Progress | None = None,
        fetch: Fetch = fetch_from_maven,
        lock: JarLock | None = None,
        place: Place | None = None,
    ) -> None:
        self._settings = settings
        self._lock = lock
        self._place = place
        self._on_progress = on_progress
        self._fetch = fetch
        self._node: Node | None = None
        self._distribution: Distribution | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._claim: int | None = None
        self._discard: Path | None = None
        self._abandoned = threading.Event()
        self.cluster_id = ""
        self.pid = 0  # of the Java process

    @property
    def bootstrap(self) -> str:
        """Address for clients, `host:port`."""
        return self._started().bootstrap

    @property
    def directory(self) -> Path:
        """Where the broker keeps its data."""
        return self._started().directory

    @property
    def log_file(self) -> Path:
        """What the broker prints; the run before is beside it as `broker.log.1`."""
        return self._started().log_file

    def start(self) -> None:
        """Start the broker and wait until it answers a metadata request with every partition led.

        Raises:
            EmbeddedStackFailed: with one sentence on what to do.
        """
        with ExitStack() as undone:
            undone.callback(self.stop)
            cache = cache_directory(self._settings.cache_dir, os.environ)
            self._distribution = prepare(cache, fetch=self._fetch, on_progress=self._report, lock=self._lock)
            self._report(0, 1, f"starting Kafka {self._distribution.version}")
            directory = self._data_directory()
            self._claim = storage.claim(directory)
            place = self._place or Place()
            self.cluster_id = storage.format_once(
                directory / "logs", self._distribution.checkpoint, node_id=place.node_id, cluster_id=place.cluster_id
            )
            if place.ports is None:
                self._boot_on_free_ports(directory)
            else:
                self._node = place.node(directory, place.ports)
                self._boot(self._node)
            self._report(1, 1, f"starting Kafka {self._distribution.version}")
            undone.pop_all()

    def stop(self) -> None:
        """Shut the broker down cleanly and give everything back; harmless when it is not running."""
        self._end(signal.SIGTERM)
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None
        if self._discard is not None:
            shutil.rmtree(self._discard, ignore_errors=True)
            self._discard = None

    def kill(self) -> None:
        """Kill the broker at once, as a power cut would; `restart` recovers it."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same port and data; stops the broker first if it runs."""
        self._end(signal.SIGTERM)
        self._boot(self._started())

    async def wait(self) -> None:
        """Return never while the broker lives.

        Raises:
            EmbeddedStackFailed: it ended by itself; with the last lines of its log.
        """
        while self._process is not None and self._process.poll() is None:  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(WATCH_S)
        if self._process is not None:
            raise self._died()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._abandoned.set()
            with suppress(EmbeddedStackFailed):
                await starting
            await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(asyncio.to_thread(self.stop))

    def _started(self) -> Node:
        if self._node is None:
            raise RuntimeError("the embedded Kafka was not started")
        return self._node

    def _report(self, done: int, total: int, what: str) -> None:
        self._check_wanted()
        if self._on_progress:
            self._on_progress(done, total, what)

    def _check_wanted(self) -> None:
        if self._abandoned.is_set():
            raise EmbeddedStackFailed("the start of the embedded Kafka was abandoned")

    def _data_directory(self) -> Path:
        if self._settings.data_dir:
            return Path(self._settings.data_dir).expanduser().absolute() / "kafka"
        self._discard = Path(tempfile.mkdtemp(prefix="forgestream-kafka-"))
        return self._discard / "kafka"

    def _boot_on_free_ports(self, directory: Path) -> None:
        for attempt in range(TRIES):
            port, controller_port = chosen_ports(self._settings.port)
            self._node = Node(directory=directory, port=port, controller_port=controller_port)
            try:
                self._boot(self._node)
            except EmbeddedStackFailed as error:
                taken = "Address already in use" in error.message
                if taken and self._settings.port:
                    sentence = f"port {port} was taken while Kafka started; set {PORT_SETTING} to another one"
                    raise EmbeddedStackFailed(sentence) from error
                if not taken or attempt == TRIES - 1:
                    raise
            else:
                return

    def _boot(self, node: Node) -> None:
        distribution = self._distribution
        if distribution is None or self._claim is None:
            raise RuntimeError("the embedded Kafka was stopped")
        with disk_errors("the broker's data", node.directory, storage.DATA_SETTING):
            node.properties_file.write_text(server_properties(node), encoding="ascii")
            if node.log_file.exists():
                node.log_file.replace(node.log_file.with_suffix(".log.1"))
        archives = distribution.archive_files()
        new_archive = self._new_archive(distribution) if len(archives) == 1 else None
        command = java_command(
            distribution.java,
            distribution.class_path,
            "kafka.Kafka",
            str(node.properties_file),
            heap_mb=self._settings.heap_mb,
            archives=archives,
            archive_to=new_archive,
        )
        order = {
            "command": command,
            "directory": str(node.directory),
            "log": str(node.log_file),
            "keep_open": [self._claim],
            "archive": [str(new_archive), str(distribution.archives.classes)] if new_archive else None,
            "discard": str(self._discard) if self._discard else None,
            "grace_s": GRACE_S,
        }
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            (sys.executable, "-I", "-S", supervisor.__file__, json.dumps(order)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._claim],
            start_new_session=True,  # Ctrl-C reaches this process, which stops the broker in its own order
        )
        storage.record_owner(self._claim, group=self._process.pid)
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        self.pid = int(self._process.stdout.readline() or 0)
        self._await_ready(node)

    def _new_archive(self, distribution: Distribution) -> Path | None:
        archive = distribution.archives.classes
        return archive.with_suffix(f".{storage.kafka_uuid()}.tmp") if os.access(archive.parent, os.W_OK) else None

    def _await_ready(self, node: Node) -> None:
        deadline = time.monotonic() + START_S
        with closing(impatient_client(node.bootstrap)) as client:
            while not (has_leaders(client) and serves_groups(node.bootstrap)):
                if self._process is None or self._process.poll() is not None:
                    raise self._died()
                self._check_wanted()
                if time.monotonic() > deadline:
                    raise EmbeddedStackFailed(
                        f"the embedded Kafka gave no answer in {START_S:.0f} s:\n{self._log_tail()}"
                    )
                time.sleep(POLL_S)

    def _died(self) -> EmbeddedStackFailed:
        log = self._started().log_file
        return EmbeddedStackFailed(f"the embedded Kafka ended; the last lines of {log}:\n{self._log_tail()}")

    def _log_tail(self) -> str:
        try:
            return last_lines(self._started().log_file.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return "  (no log)"

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            if number is signal.SIGKILL:
                os.killpg(process.pid, number)
            elif process.poll() is None:
                process.send_signal(number)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
