"""Jars of a cache without a JVM: what is kept, what is refused, what the operator is told."""

import errno
import hashlib
import json
from pathlib import Path

import pytest

from streams.errors import EmbeddedStackFailed
from topology.embedded.cache import cache_directory
from topology.embedded.jars import Jar, JarLock, ensure_jars, is_intact

BODY = {"one-1.jar": b"1" * 1000, "two-1.jar": b"2" * 5000, "three-1.jar": b""}
JARS = tuple(
    Jar(group="g", artifact=name[:-6], version="1", sha256=hashlib.sha256(body).hexdigest(), size_bytes=len(body))
    for name, body in BODY.items()
)


class Repository:
    """A Maven repository of tiny jars, with faults."""

    def __init__(self, *, wrong: str = "", fails: OSError | RuntimeError | None = None) -> None:
        self.wrong, self.fails = wrong, fails
        self.asked: list[str] = []

    def __call__(self, jar: Jar, directory: Path) -> Path:
        self.asked.append(jar.name)
        file = directory / "deep" / jar.name
        file.parent.mkdir()
        file.write_bytes(b"half")
        if self.fails:
            raise self.fails
        file.write_bytes(b"something else" if jar.name == self.wrong else BODY[jar.name])
        return file


def test_an_empty_cache_is_filled_and_then_left_alone(tmp_path: Path) -> None:
    """A second start fetches nothing; nothing but jars and the lock is there."""
    repository = Repository()
    (tmp_path / "deep" / "jars" / ".download-of-a-killed-process").mkdir(parents=True)

    first = ensure_jars(tmp_path / "deep" / "jars", JARS, fetch=repository)
    second = ensure_jars(tmp_path / "deep" / "jars", JARS, fetch=repository)

    assert first == second
    assert [path.read_bytes() for path in first] == list(BODY.values())
    assert sorted(repository.asked) == sorted(BODY)
    assert {path.name for path in (tmp_path / "deep" / "jars").iterdir()} == {*BODY, ".lock"}


def test_progress_counts_the_bytes_of_the_download_up_to_its_end(tmp_path: Path) -> None:
    """A bar can be drawn from it, and it ends at 100 %."""
    seen: list[tuple[int, int, str]] = []

    ensure_jars(tmp_path, JARS, fetch=Repository(), on_progress=lambda *step: seen.append(step))

    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1] == (6000, 6000, "Kafka's jars")


def test_a_download_that_is_not_the_pinned_file_is_refused_and_not_kept(tmp_path: Path) -> None:
    """The sentence names the jar and both hashes; a later start with the right file works."""
    with pytest.raises(
        EmbeddedStackFailed, match=r"g:two:1 has sha256 \w{64}, but \w{64} is pinned; it was thrown away"
    ):
        ensure_jars(tmp_path, JARS, fetch=Repository(wrong="two-1.jar"))

    assert not (tmp_path / "two-1.jar").exists()
    assert ensure_jars(tmp_path, JARS, fetch=Repository())


def test_a_download_that_breaks_off_leaves_nothing_that_counts(tmp_path: Path) -> None:
    """No network in the middle of a jar: one sentence, and the next start fetches it whole."""
    broken = Repository(fails=ConnectionError("connection reset"))

    with pytest.raises(
        EmbeddedStackFailed, match=r"cannot download g:\w+:1 .*connection reset.*FORGESTREAM_KAFKA=host:port"
    ):
        ensure_jars(tmp_path, JARS, fetch=broken)

    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert all(
        is_intact(path, jar) for path, jar in zip(ensure_jars(tmp_path, JARS, fetch=Repository()), JARS, strict=True)
    )


def test_a_jar_the_repository_lacks_is_one_sentence(tmp_path: Path) -> None:
    """The Maven client says so with a RuntimeError."""
    with pytest.raises(EmbeddedStackFailed, match="not found in remote repositories"):
        ensure_jars(tmp_path, JARS, fetch=Repository(fails=RuntimeError("not found in remote repositories")))


def test_a_full_disk_is_one_sentence_with_the_setting_that_helps(tmp_path: Path) -> None:
    """Where, and how to move it."""
    full = Repository(fails=OSError(errno.ENOSPC, "No space left on device"))

    with pytest.raises(EmbeddedStackFailed) as refused:
        ensure_jars(tmp_path, JARS, fetch=full)

    assert refused.value.message == (
        f"the disk is full: cannot write Kafka's jars to {tmp_path}; "
        "free some space or move it with FORGESTREAM_EMBEDDED_CACHE_DIR"
    )


def test_a_cache_that_cannot_be_a_directory_is_one_sentence(tmp_path: Path) -> None:
    """A file stands where the cache belongs."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(
        EmbeddedStackFailed, match=r"cannot write Kafka's jars to .*; set FORGESTREAM_EMBEDDED_CACHE_DIR"
    ):
        ensure_jars(tmp_path / "file" / "jars", JARS, fetch=Repository())


@pytest.mark.parametrize(
    ("configured", "environ", "expected"),
    [
        ("/srv/cache", {"XDG_CACHE_HOME": "/xdg"}, Path("/srv/cache")),
        ("", {"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/forgestream")),
        ("", {"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache" / "forgestream"),
        ("", {}, Path.home() / ".cache" / "forgestream"),
        ("~/mine", {}, Path.home() / "mine"),
    ],
)
def test_the_cache_is_where_the_setting_says_else_the_users_own(
    configured: str, environ: dict[str, str], expected: Path
) -> None:
    """XDG's variable counts only when it is absolute, as its specification says."""
    assert cache_directory(configured, environ) == expected


def test_the_committed_lock_pins_one_whole_kafka() -> None:
    """Every jar once, with a hash and a size, all Kafka modules of one version; no address of any repository."""
    lock = JarLock.read()
    names = [jar.name for jar in lock.jars]

    assert lock.kafka.startswith("4.")
    assert {jar.version for jar in lock.jars if jar.group == "org.apache.kafka"} == {lock.kafka}
    assert {"kafka_2.13", "kafka-clients", "slf4j-simple"} <= {jar.artifact for jar in lock.jars}
    assert len(names) == len(set(names))
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 1000 for jar in lock.jars)
    assert "://" not in json.dumps([jar.group for jar in lock.jars])
