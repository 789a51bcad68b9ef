"""Several real Kafka brokers on 127.0.0.1 that are one cluster: what a broker test needs to lose a leader."""

import json
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from streams.errors import EmbeddedStackFailed
from streams.settings import EmbeddedSettings
from topology.embedded.jars import JarLock
from topology.embedded.kafka import EmbeddedKafka, Place
from topology.embedded.ports import free_ports
from topology.embedded.properties import HOST
from topology.embedded.storage import kafka_uuid

NODES = 3


class EmbeddedCluster:
    """`with EmbeddedCluster(settings) as cluster:` gives three brokers; each is its own process and can be killed alone."""

    def __init__(self, settings: EmbeddedSettings, *, nodes: int = NODES, lock: JarLock | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="forgestream-cluster-", ignore_cleanup_errors=True)
        ports = free_ports(2 * nodes)
        voters = tuple(f"{number}@{HOST}:{port}" for number, port in enumerate(ports[nodes:], 1))
        cluster_id = kafka_uuid()
        self.brokers: Sequence[EmbeddedKafka] = [
            EmbeddedKafka(
                replace(settings, data_dir=f"{self._directory.name}/{number}"),
                lock=lock,
                place=Place(
                    node_id=number,
                    cluster_id=cluster_id,
                    ports=(ports[number - 1], ports[nodes + number - 1]),
                    voters=voters,
                ),
            )
            for number in range(1, nodes + 1)
        ]
        self.bootstrap = ",".join(f"{HOST}:{port}" for port in ports[:nodes])

    def start(self) -> None:
        """Start all brokers side by side: none is ready before most are there.

        Raises:
            EmbeddedStackFailed: one did not start.
        """
        self.each(lambda broker: broker.start())

    def stop(self) -> None:
        """Stop all brokers and forget their data."""
        self.each(lambda broker: broker.stop())
        self._directory.cleanup()

    def each(self, act: Callable[[EmbeddedKafka], None]) -> None:
        """Do something to all brokers side by side; raises the first failure when all have ended."""
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(act, self.brokers))

    def controller(self) -> EmbeddedKafka:
        """Return the broker that leads the metadata quorum.

        Raises:
            EmbeddedStackFailed: none does now.
        """
        elected: list[tuple[int, int]] = []
        for broker in self.brokers:
            with suppress(OSError, ValueError, KeyError):
                state = json.loads(_quorum_state(broker.directory).read_text(encoding="utf-8"))
                elected.append((int(state["leaderEpoch"]), int(state["leaderId"])))
        _, leader = max(elected, default=(0, 0))
        if leader < 1:
            raise EmbeddedStackFailed("no broker of the cluster is its controller now")
        return self.brokers[leader - 1]

    def __enter__(self) -> Self:
        with ExitStack() as undone:
            undone.callback(self.stop)
            self.start()
            undone.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _quorum_state(directory: Path) -> Path:
    return directory / "logs" / "__cluster_metadata-0" / "quorum-state"
