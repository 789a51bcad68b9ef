"""The embedded broker on the real thing: real jars, a real JVM, real kills."""

import asyncio
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streams.errors import EmbeddedStackFailed
from streams.settings import EmbeddedSettings
from tests.broker.conftest import Owner
from tests.broker.probes import eventually, is_running, listening_addresses, read_back, written
from topology.embedded.kafka import EmbeddedKafka

StartOwner = Callable[..., Owner]


async def test_what_is_produced_is_consumed_and_nothing_is_left_after_the_block(cache: Path) -> None:
    """A record of 16 MiB and an empty one arrive; afterwards neither process nor files remain."""
    values = [b"", b"x", b"y" * 16 * 1024 * 1024]

    async with EmbeddedKafka(EmbeddedSettings(cache_dir=str(cache))) as kafka:
        await asyncio.to_thread(written, kafka.bootstrap, "texts", *values)
        found = await asyncio.to_thread(read_back, kafka.bootstrap, "texts", 3)
        java, directory = kafka.pid, kafka.directory
        assert is_running(java)
        assert {"127.0.0.1"} == listening_addresses(java)

    assert found == values
    assert not is_running(java)
    assert not directory.exists()


async def test_a_topic_nobody_created_does_not_appear(kafka: str, namespace: str) -> None:
    """A misspelt topic is an error, not a new topic."""
    client = AdminClient({"bootstrap.servers": kafka})

    asked = await asyncio.to_thread(client.list_topics, f"{namespace}misspelt", 10)

    assert asked.topics[f"{namespace}misspelt"].error is not None


def test_a_killed_parent_leaves_no_java_and_the_next_start_has_the_data(
    owner: StartOwner, cache: Path, tmp_path: Path
) -> None:
    """SIGKILL of the owner ends the broker cleanly; the same data directory starts again with every record."""
    process, bootstrap, java, _ = owner(tmp_path / "data")
    written(bootstrap, "texts", b"one", b"two")

    process.kill()
    with EmbeddedKafka(EmbeddedSettings(cache_dir=str(cache), data_dir=str(tmp_path / "data"))) as kafka:
        assert not is_running(java)
        assert read_back(kafka.bootstrap, "texts", 2) == [b"one", b"two"]


def test_a_killed_supervisor_takes_java_with_it_and_the_next_start_recovers(
    owner: StartOwner, cache: Path, tmp_path: Path
) -> None:
    """Owner and supervisor are killed in one instant: no orphan, and the next start recovers from an unclean stop."""
    process, bootstrap, java, _ = owner(tmp_path / "data")
    written(bootstrap, "texts", b"one")
    supervisor = int(subprocess.run(["ps", "-o", "ppid=", "-p", str(java)], capture_output=True, check=True).stdout)

    os.kill(process.pid, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)

    assert eventually(lambda: not is_running(java), within_s=5)
    with EmbeddedKafka(EmbeddedSettings(cache_dir=str(cache), data_dir=str(tmp_path / "data"))) as kafka:
        assert read_back(kafka.bootstrap, "texts", 1) == [b"one"]


@pytest.mark.parametrize("end", [None, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_a_parent_ends_neither_process_nor_files_stay(owner: StartOwner, end: signal.Signals | None) -> None:
    """A process that never stops its broker takes broker and throw-away directory with it."""
    process, _, java, directory = owner("", how="stay" if end else "leave")

    if end:
        process.send_signal(end)
    process.wait(20)

    assert eventually(lambda: not is_running(java) and not directory.parent.exists())


def test_a_directory_in_use_is_refused_with_the_process_that_uses_it(
    owner: StartOwner, cache: Path, tmp_path: Path
) -> None:
    """Two brokers on one directory would ruin it."""
    process, *_ = owner(tmp_path / "data")

    with pytest.raises(
        EmbeddedStackFailed, match=f"in use by process {process.pid}; stop it, or set FORGESTREAM_EMBEDDED"
    ):
        EmbeddedKafka(EmbeddedSettings(cache_dir=str(cache), data_dir=str(tmp_path / "data"))).start()


def test_a_broker_killed_in_mid_flight_restarts_on_its_port_with_its_data(cache: Path) -> None:
    """`kill` is a power cut; `restart` recovers, and the cluster is the same one."""
    with EmbeddedKafka(EmbeddedSettings(cache_dir=str(cache))) as kafka:
        written(kafka.bootstrap, "texts", b"one")
        address, cluster = kafka.bootstrap, kafka.cluster_id

        kafka.kill()
        kafka.restart()

        assert str(AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).cluster_id) == cluster
        assert read_back(address, "texts", 1) == [b"one"]


async def test_a_broker_that_dies_is_reported(cache: Path) -> None:
    """Whoever waits for the broker's end hears of it, with its log."""
    async with EmbeddedKafka(EmbeddedSettings(cache_dir=str(cache))) as kafka:
        os.kill(kafka.pid, signal.SIGKILL)

        with pytest.raises(EmbeddedStackFailed, match="the embedded Kafka ended; the last lines of"):
            await asyncio.wait_for(kafka.wait(), 10)


async def test_a_cancelled_start_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    """Ctrl-C while the broker starts: no process, and the directory is free again."""
    settings = EmbeddedSettings(cache_dir=str(cache), data_dir=str(tmp_path / "data"))
    started = threading.Event()
    kafka = EmbeddedKafka(
        settings, on_progress=lambda _done, _total, what: started.set() if "starting" in what else None
    )
    starting = asyncio.create_task(kafka.__aenter__())
    await asyncio.to_thread(started.wait, 60)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not is_running(kafka.pid) if kafka.pid else True
    async with EmbeddedKafka(settings) as again:
        assert again.cluster_id


def test_a_busy_port_is_one_clear_sentence(cache: Path) -> None:
    """Which port, and which setting changes it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(EmbeddedStackFailed) as refused:
            EmbeddedKafka(EmbeddedSettings(cache_dir=str(cache), port=port)).start()

    assert refused.value.message == (
        f"port {port} on 127.0.0.1 is taken by another program; "
        "set FORGESTREAM_EMBEDDED_PORT to another, or to 0 for any"
    )


def test_a_jvm_that_cannot_start_says_why(cache: Path, tmp_path: Path) -> None:
    """The last lines of its log are in the error, and the claim is given back."""
    data = tmp_path / "data"
    (data / "kafka" / "logs").mkdir(parents=True)
    (data / "kafka" / "logs" / "meta.properties").write_text("version=1\nnode.id=1\ncluster.id=x\ndirectory.id=?\n")

    for _ in range(2):
        with pytest.raises(
            EmbeddedStackFailed, match=r"(?s)the embedded Kafka ended; the last lines of .*directory\.id"
        ):
            EmbeddedKafka(EmbeddedSettings(cache_dir=str(cache), data_dir=str(data))).start()
