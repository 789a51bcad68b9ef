"""Kafka's jars: pinned by coordinate and sha256, fetched from the machine's Maven repository, kept in a cache.

`python -m topology.embedded.jars --lock` resolves the newest complete Kafka 4 and writes `jars.lock.json`; with `3.9 FILE` it does so for
another line of versions.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cmp_to_key
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.maven import MavenContext, compare_versions

from streams.errors import EmbeddedStackFailed
from topology.embedded.cache import disk_errors, locked

Progress = Callable[[int, int, str], None]  # done, total, what; bytes for a download, steps otherwise

LOCK_FILE = Path(__file__).with_name("jars.lock.json")
CACHE_SETTING = "FORGESTREAM_EMBEDDED_CACHE_DIR"
TIMEOUT_S = 30
PARALLEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One pinned file of the broker's class path."""

    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def name(self) -> str:
        """File name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


@dataclass(frozen=True, slots=True, kw_only=True)
class JarLock:
    """The whole class path of one Kafka version."""

    kafka: str
    jars: tuple[Jar, ...]

    @classmethod
    def read(cls, path: Path = LOCK_FILE) -> "JarLock":
        """Read the committed lock."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(kafka=content["kafka"], jars=tuple(Jar(**jar) for jar in content["jars"]))


# downloads one jar to somewhere below the directory; OSError or RuntimeError when it cannot
Fetch = Callable[[Jar, Path], Path]


def fetch_from_maven(jar: Jar, directory: Path) -> Path:
    """Download one jar with the Maven client; its configuration file may name repositories."""
    return _maven(directory).project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()


def ensure_jars(
    directory: Path, jars: Sequence[Jar], *, fetch: Fetch = fetch_from_maven, on_progress: Progress | None = None
) -> tuple[Path, ...]:
    """Return the class path; whatever is missing or damaged is fetched, checked and put in place in one step.

    Any number of processes may do this at once: one downloads, the others wait for it. A file under its final name is
    always complete, so a download that was cut off leaves nothing that counts.

    Raises:
        EmbeddedStackFailed: no network, a file that is not the pinned one, a disk that is full or cannot be written.
    """
    if any(not is_intact(directory / jar.name, jar) for jar in jars):
        with disk_errors("Kafka's jars", directory, CACHE_SETTING):
            directory.mkdir(parents=True, exist_ok=True)
            with locked(directory / ".lock"):
                missing = [jar for jar in jars if not is_intact(directory / jar.name, jar)]
                _download(directory, missing, fetch, on_progress)
    return tuple(directory / jar.name for jar in jars)


def is_intact(path: Path, jar: Jar) -> bool:
    """Tell whether the file is there, byte for byte as pinned (45 MB take about 30 ms)."""
    try:
        return path.stat().st_size == jar.size_bytes and sha256_of(path) == jar.sha256
    except OSError:
        return False


def sha256_of(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(directory: Path, jars: Sequence[Jar], fetch: Fetch, on_progress: Progress | None) -> None:
    if not jars:
        return
    for leftover in directory.glob(".download-*"):  # of a process that was killed: we hold the lock
        shutil.rmtree(leftover)
    done, total = 0, sum(jar.size_bytes for jar in jars)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".download-") as work, ThreadPoolExecutor(PARALLEL) as pool:
        running = {pool.submit(_fetch_one, jar, Path(work, jar.name), directory, fetch): jar for jar in jars}
        try:
            for finished in as_completed(running):
                finished.result()
                done += running[finished].size_bytes
                if on_progress:
                    on_progress(done, total, "Kafka's jars")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _fetch_one(jar: Jar, work: Path, directory: Path, fetch: Fetch) -> None:
    coordinate = f"{jar.group}:{jar.artifact}:{jar.version}"
    with disk_errors("Kafka's jars", directory, CACHE_SETTING):
        work.mkdir()
    try:
        with disk_errors("Kafka's jars", directory, CACHE_SETTING):
            fetched = fetch(jar, work)
    except (OSError, RuntimeError) as error:
        raise EmbeddedStackFailed(
            f"cannot download {coordinate} for the embedded Kafka ({error}); connect to a Maven repository (a mirror "
            "goes into the configuration file of jgo), or use a cluster of your own: FORGESTREAM_KAFKA=host:port"
        ) from error
    found = sha256_of(fetched)
    if found != jar.sha256:
        raise EmbeddedStackFailed(
            f"the download of {coordinate} has sha256 {found}, but {jar.sha256} is pinned; it was thrown away. Try "
            "again; if it stays so, a proxy or mirror changes files, or the lock is damaged"
        )
    with disk_errors("Kafka's jars", directory, CACHE_SETTING):
        os.replace(fetched, directory / jar.name)  # noqa: PTH105 - an atomic rename, by its usual name


def _maven(directory: Path) -> MavenContext:
    context = MavenContext(repo_cache=directory, timeout=TIMEOUT_S)
    context.remote_repos |= GlobalSettings.load().repositories
    return context


def _resolved(version: str, directory: Path) -> tuple[Jar, ...]:
    """Resolve the runtime tree of one version, plus the logger that writes Kafka's log.

    Raises:
        RuntimeError: when the repository lacks a part of it (Kafka 4.4.0 was published without one of its modules).
    """
    maven = _maven(directory)
    inputs, transitive = maven.resolver.resolve([maven.create_dependency(f"org.apache.kafka:kafka_2.13:{version}")])
    logging_version = next(found.version for found in transitive if found.artifactId == "slf4j-api")
    logger = maven.create_dependency(f"org.slf4j:slf4j-simple:{logging_version}")
    jars = []
    for found in sorted([*inputs, *transitive, logger], key=lambda each: (each.groupId, each.artifactId)):
        path = found.artifact.resolve()
        jars.append(
            Jar(
                group=found.groupId,
                artifact=found.artifactId,
                version=found.version,
                sha256=sha256_of(path),
                size_bytes=path.stat().st_size,
            )
        )
    return tuple(jars)


def _newest(directory: Path, line: str) -> JarLock:
    kafka = _maven(directory).project("org.apache.kafka", "kafka_2.13")
    kafka.update()
    known = [found.version for found in kafka.versions()]
    versions = [version for version in known if version.startswith(f"{line}.") and "-" not in version]
    for version in sorted(versions, key=cmp_to_key(compare_versions), reverse=True):
        try:
            return JarLock(kafka=version, jars=_resolved(version, directory))
        except RuntimeError as error:
            sys.stderr.write(f"{version} is incomplete: {error}\n")
    raise SystemExit(f"no complete Kafka {line} in the Maven repository")


def main(arguments: Sequence[str]) -> int:
    """Write the lock."""
    if len(arguments) not in {1, 3} or arguments[0] != "--lock":
        sys.stderr.write("usage: python -m topology.embedded.jars --lock [LINE FILE]\n")
        return 2
    line, file = (arguments[1], Path(arguments[2])) if len(arguments) > 1 else ("4", LOCK_FILE)
    with tempfile.TemporaryDirectory() as directory:
        lock = _newest(Path(directory), line)
    file.write_text(json.dumps(asdict(lock), indent=1) + "\n", encoding="utf-8")
    size_mb = sum(jar.size_bytes for jar in lock.jars) / 1e6
    sys.stdout.write(f"Kafka {lock.kafka}: {len(lock.jars)} jars, {size_mb:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
