"""The broker's data directory without a broker: who may have it, and what is written once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.errors import EmbeddedStackFailed
from topology.embedded.storage import claim, format_once, record_owner

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """What Kafka's tool wrote once."""
    path = tmp_path / "bootstrap.checkpoint"
    path.write_bytes(b"features")
    return path


def dead_process() -> int:
    """Id of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A broker without owner or supervisor, as a kill leaves it where the kernel does not help."""
    descriptor = claim(tmp_path / "kafka")
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], pass_fds=[descriptor], start_new_session=True)
    note = f'{{"owner": {dead_process()}, "group": {process.pid}}}'
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, note.encode(), 0)
    os.close(descriptor)
    yield process
    process.kill()
    process.wait()


def test_an_orphaned_broker_is_ended_and_its_directory_taken_over(
    tmp_path: Path, orphan: "subprocess.Popen[bytes]"
) -> None:
    """Its owner is gone and it does not end by itself: it is killed, and the next start has the directory."""
    descriptor = claim(tmp_path / "kafka", patience_s=0.1)

    assert orphan.wait(10) == -9
    os.close(descriptor)


def test_a_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    """The second is told who the first is; when that gives it back, the directory is free."""
    first = claim(tmp_path / "kafka")
    record_owner(first, group=0)

    with pytest.raises(EmbeddedStackFailed, match=f"in use by process {os.getpid()}"):
        claim(tmp_path / "kafka")
    os.close(first)

    os.close(claim(tmp_path / "kafka"))


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"owner": "x"}', b"\xff\xfe", b'{"owner": 0, "group": 0}' * 999])
def test_a_free_directory_is_taken_whatever_its_note_says(tmp_path: Path, note: bytes) -> None:
    """The lock decides, not the file's text."""
    (tmp_path / "owner").write_bytes(note)

    os.close(claim(tmp_path))


def test_a_directory_held_by_nobody_known_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """The lock is held, and the note does not say by whom."""
    held = claim(tmp_path)
    os.ftruncate(held, 0)

    with pytest.raises(
        EmbeddedStackFailed, match="held by a process that does not end; set FORGESTREAM_EMBEDDED_DATA_DIR"
    ):
        claim(tmp_path, patience_s=0.1)
    os.close(held)


def test_a_file_in_place_of_the_directory_is_one_sentence(tmp_path: Path) -> None:
    """Which directory, and which setting."""
    (tmp_path / "data").write_bytes(b"")

    with pytest.raises(
        EmbeddedStackFailed, match=r"cannot write the broker's data to .*; set FORGESTREAM_EMBEDDED_DATA_DIR"
    ):
        claim(tmp_path / "data" / "kafka")


def test_storage_is_formatted_once_and_keeps_its_cluster(tmp_path: Path, checkpoint: Path) -> None:
    """The second start reads the id; two directories are two clusters."""
    first = format_once(tmp_path / "a" / "logs", checkpoint)
    written = (tmp_path / "a" / "logs" / "meta.properties").read_bytes()

    assert format_once(tmp_path / "a" / "logs", checkpoint) == first
    assert format_once(tmp_path / "b" / "logs", checkpoint) != first
    assert (tmp_path / "a" / "logs" / "meta.properties").read_bytes() == written
    assert (tmp_path / "a" / "logs" / "bootstrap.checkpoint").read_bytes() == b"features"


def test_a_format_that_broke_off_is_done_again(tmp_path: Path, checkpoint: Path) -> None:
    """Without `meta.properties` a directory is not formatted, whatever else is there."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "bootstrap.checkpoint").write_bytes(b"half")

    format_once(tmp_path / "logs", checkpoint)

    assert (tmp_path / "logs" / "bootstrap.checkpoint").read_bytes() == b"features"


@pytest.mark.parametrize(
    "meta", [b"", b"\xff\x00garbage", b"node.id=1\n", b"cluster.id=x\nnode.id=7\n", b"cluster.id=\nnode.id=1"]
)
def test_foreign_or_damaged_storage_is_refused_and_left_alone(tmp_path: Path, checkpoint: Path, meta: bytes) -> None:
    """It may be somebody's data."""
    (tmp_path / "meta.properties").write_bytes(meta)

    with pytest.raises(EmbeddedStackFailed, match="is not from an embedded broker or is damaged"):
        format_once(tmp_path, checkpoint)

    assert (tmp_path / "meta.properties").read_bytes() == meta
