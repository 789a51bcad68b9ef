"""`forgestream worker` and `up` as processes: ready, answering, ended by signals, ended by what cannot go on."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streams.settings import KafkaSettings
from tests.rules.topology.test_health import free_port
from topology.cluster import Cluster, TopicPlan
from topology.units import Unit

PROGRAM = [sys.executable, "-m", "topology.cli"]
SMALL = {
    "FORGESTREAM_EMBED_PROVIDER": "hashing",
    "FORGESTREAM_STORE_URI": "memory",
    "FORGESTREAM_ROUTE_MODELS": "extractive",
    "FORGESTREAM_TELEMETRY_LOG_LEVEL": "warning",
}
PATIENCE_S = 60


@asynccontextmanager
async def forgestream(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    """Run the program; whatever happens, nothing of it is left."""
    env = {**os.environ, **SMALL, **environment}
    process = await asyncio.create_subprocess_exec(*PROGRAM, *arguments, env=env, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ready(process: Process) -> dict[str, Any]:
    """Wait for the line that says so."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
    assert line, (await process.communicate())[1].decode()
    said: dict[str, Any] = json.loads(line)
    return said


async def ended(process: Process, number: signal.Signals) -> tuple[int, str]:
    """Send a signal; return the exit code and what was said on the way."""
    process.send_signal(number)
    _, complaints = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return process.returncode, complaints.decode()


async def asked(question: str, **environment: str) -> dict[str, Any]:
    """Ask as a person would, and return the result."""
    async with forgestream("produce", "texts", "--query", question, "--wait", "--json", **environment) as process:
        lines, complaints = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert lines, complaints.decode()
    result: dict[str, Any] = json.loads(lines.splitlines()[-1])
    return result


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_all_units_answer_and_end_cleanly_on_a_signal(kafka: str, namespace: str, number: signal.Signals) -> None:
    """A document goes in, its question is answered from it; the signal ends the worker with 0 and without complaint."""
    here = {"FORGESTREAM_KAFKA": kafka, "FORGESTREAM_KAFKA_TOPIC_PREFIX": namespace}
    async with forgestream("worker", "--json", **here) as worker:
        said = await ready(worker)
        result = await asked("How many hearts does an octopus have?", **here)
        rejected = await asked(" ", **here)
        code, complaints = await ended(worker, number)

    assert said == {"ready": True, "kafka": kafka, "units": sorted(Unit)}
    assert result["status"] in {"ok", "degraded"}
    assert rejected["status"] == "rejected"
    assert (code, complaints) == (0, "")


async def test_units_in_processes_of_their_own_work_together(kafka: str, namespace: str) -> None:
    here = {"FORGESTREAM_KAFKA": kafka, "FORGESTREAM_KAFKA_TOPIC_PREFIX": namespace}
    async with (
        forgestream("worker", "--unit", "intake", "--json", **here) as intake,
        forgestream("worker", "--unit", "inference", "--json", **here) as inference,
    ):
        assert (await ready(intake))["units"] == ["intake"]
        assert (await ready(inference))["units"] == ["inference"]
        result = await asked("Who?", **here)

    assert result["status"] in {"ok", "degraded"}


async def test_health_says_ready_and_counts_what_was_done(kafka: str, namespace: str) -> None:
    port = free_port()
    here = {"FORGESTREAM_KAFKA": kafka, "FORGESTREAM_KAFKA_TOPIC_PREFIX": namespace}
    async with (
        forgestream("worker", "--json", FORGESTREAM_TELEMETRY_HEALTH_PORT=str(port), **here) as worker,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        await ready(worker)
        await asked("Who?", **here)
        async with session.get("/live") as live, session.get("/ready") as is_ready, session.get("/metrics") as metrics:
            text = await metrics.text()

    assert (live.status, is_ready.status) == (200, 200)
    assert 'forgestream_records_total{unit="intake",stage="admit",outcome="handled"} 1\n' in text


async def test_topics_with_other_partitions_refuse_the_start_before_a_record_is_read(
    kafka: str, namespace: str
) -> None:
    cluster = Cluster(KafkaSettings(bootstrap=kafka))
    await cluster.create([TopicPlan(name=f"{namespace}texts", partitions=1, config={})])

    async with forgestream(
        "worker", "--unit", "intake", FORGESTREAM_KAFKA=kafka, FORGESTREAM_KAFKA_TOPIC_PREFIX=namespace
    ) as worker:
        _, complaints = await asyncio.wait_for(worker.communicate(), PATIENCE_S)

    assert worker.returncode == 2
    assert f"`{namespace}texts` has 1 partitions where 4 are needed" in complaints.decode()
    assert "Traceback" not in complaints.decode()


async def test_a_worker_without_a_broker_says_what_to_set() -> None:
    async with forgestream("worker", FORGESTREAM_KAFKA="") as worker:
        _, complaints = await asyncio.wait_for(worker.communicate(), PATIENCE_S)

    assert worker.returncode == 2
    assert b"forgestream up" in complaints


async def test_up_brings_its_own_kafka_keeps_its_data_and_takes_everything_along(cache: Path, tmp_path: Path) -> None:
    """With a data directory the second run still has the first one's result; the broker ends with its parent."""
    here = {
        "FORGESTREAM_EMBEDDED_CACHE_DIR": str(cache),
        "FORGESTREAM_EMBEDDED_DATA_DIR": str(tmp_path),
        "FORGESTREAM_KAFKA": "",
    }

    async with forgestream("up", "--json", **here) as up:
        first = await ready(up)
        result = await asked("Who?", FORGESTREAM_KAFKA=first["kafka"])
        code, complaints = await ended(up, signal.SIGINT)
    async with forgestream("up", "--json", **here) as up:
        second = await ready(up)
        async with forgestream(
            "tail", "results", "--from", "beginning", "--no-follow", "--json", FORGESTREAM_KAFKA=second["kafka"]
        ) as tail:
            lines, _ = await asyncio.wait_for(tail.communicate(), PATIENCE_S)
        await ended(up, signal.SIGTERM)

    assert (code, complaints) == (0, "")
    assert [json.loads(line)["record"]["result_id"] for line in lines.splitlines()] == [result["result_id"]]
    host, port = second["kafka"].split(":")
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(host, int(port))


async def test_a_broker_that_disappears_ends_up_with_a_sentence(cache: Path) -> None:
    """The embedded Kafka is killed: the program ends with 1 and says so, instead of waiting for ever."""
    async with forgestream("up", "--json", FORGESTREAM_KAFKA="", FORGESTREAM_EMBEDDED_CACHE_DIR=str(cache)) as up:
        await ready(up)
        (java,) = _java_of(up.pid)
        os.kill(java, signal.SIGKILL)
        _, complaints = await asyncio.wait_for(up.communicate(), PATIENCE_S)

    assert up.returncode in {1, 2}
    assert any(line.startswith("forgestream: ") and "Kafka" in line for line in complaints.decode().splitlines())


def _java_of(ancestor: int) -> list[int]:
    """Return the Java processes below a process."""
    parents, java = {}, []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if b"kafka.Kafka\0" in command and b"java\0" in command.split(b" ")[0]:
            java.append(int(stat.parent.name))
    return [pid for pid in java if ancestor in _line(pid, parents)]


def _line(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    while (pid := parents.get(pid, 0)) > 1:
        yield pid
