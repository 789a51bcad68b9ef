"""The broker's data directory: claimed by one broker at a time, formatted once, reused for ever."""

import base64
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from streams.errors import EmbeddedStackFailed
from topology.embedded.cache import disk_errors
from topology.embedded.properties import meta_properties, parsed_properties

DATA_SETTING = "FORGESTREAM_EMBEDDED_DATA_DIR"
LEAST_FREE_BYTES = 64 * 1024 * 1024
TAKEOVER_S = 20.0
POLL_S = 0.05


def claim(directory: Path, *, patience_s: float = TAKEOVER_S) -> int:
    """Take the directory for this process; the descriptor returned is handed on to the broker.

    The lock is the kernel's, on one open file that supervisor and broker inherit: it is free exactly when all of them
    are gone. What a killed process left behind is waited for, then killed when it has not ended in `patience_s`.

    Raises:
        EmbeddedStackFailed: the directory is used by a living process, cannot be written, or its disk is full.
    """
    with disk_errors("the broker's data", directory, DATA_SETTING):
        directory.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(directory).free < LEAST_FREE_BYTES:
            raise EmbeddedStackFailed(f"less than 64 MiB are free for {directory}; free some or set {DATA_SETTING}")
        descriptor = os.open(directory / "owner", os.O_RDWR | os.O_CREAT, 0o600)
    with ExitStack() as undone:
        undone.callback(os.close, descriptor)
        _lock(descriptor, directory, patience_s)
        record_owner(descriptor, group=0)
        undone.pop_all()
    return descriptor


def record_owner(descriptor: int, *, group: int) -> None:
    """Note who holds the claim: this process, and the process group of its broker."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"owner": os.getpid(), "group": group}).encode(), 0)


def _lock(descriptor: int, directory: Path, patience_s: float) -> None:
    deadline, killed = time.monotonic() + patience_s, False
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = _holder(descriptor)
        if _is_alive(holder["owner"]):
            raise EmbeddedStackFailed(
                f"the data directory {directory} is in use by process {holder['owner']}; stop it, or set {DATA_SETTING}"
            )
        if time.monotonic() > deadline:
            if killed or not holder["group"]:
                raise EmbeddedStackFailed(
                    f"the data directory {directory} is held by a process that does not end; set {DATA_SETTING}"
                )
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(holder["group"], signal.SIGKILL)
            deadline, killed = time.monotonic() + patience_s, True
        time.sleep(POLL_S)


def _holder(descriptor: int) -> Mapping[str, int]:
    try:
        noted = json.loads(os.pread(descriptor, 4096, 0))
        return {"owner": int(noted["owner"]), "group": int(noted["group"])}
    except (ValueError, KeyError, TypeError):  # being written at this moment
        return {"owner": 0, "group": 0}


def _is_alive(process: int) -> bool:
    if process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    with suppress(OSError):  # a zombie has ended; only Linux says so here
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return True


def format_once(storage: Path, checkpoint: Path, *, node_id: int = 1, cluster_id: str = "") -> str:
    """Format the storage unless it is; returns its cluster id, a new one unless one is given.

    What `StorageTool format` writes besides fresh ids is the same for every directory, so it is made once per Kafka
    version (`checkpoint`) and copied: 0.7 s less for each new directory. `meta.properties` comes last: without it
    nothing counts.

    Raises:
        EmbeddedStackFailed: the directory holds something that is not the storage of this broker.
    """
    meta = storage / "meta.properties"
    if meta.exists():
        found = parsed_properties(meta.read_text(encoding="utf-8", errors="replace"))
        if not found.get("cluster.id") or found.get("node.id") != str(node_id):
            raise EmbeddedStackFailed(
                f"{meta} is not from an embedded broker or is damaged; set {DATA_SETTING} to another directory"
            )
        return found["cluster.id"]
    cluster_id = cluster_id or kafka_uuid()
    with disk_errors("the broker's data", storage, DATA_SETTING):
        storage.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkpoint, storage / "bootstrap.checkpoint")
        written_whole(
            meta, lambda path: path.write_text(meta_properties(cluster_id, kafka_uuid(), node_id), encoding="utf-8")
        )
    return cluster_id


def kafka_uuid() -> str:
    """Return a random id as Kafka writes it: 22 characters of URL-safe base64, none of them reserved."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def written_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and put it in place when it is complete."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
