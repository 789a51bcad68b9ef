"""`forgestream produce`, `tail`, `topics` and `dead-letters` against a real broker, as a person uses them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from streams.deadletter import dead_letter_headers
from streams.errors import Undecodable
from streams.settings import KafkaSettings, Settings
from tests.clock import FixedClock
from topology.producing import Outgoing, deliver
from topology.provision import plan_of, provision
from topology.topics import Topics

PROGRAM = [sys.executable, "-m", "topology.cli"]


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A terminal whose environment names the broker and a prefix of its own."""

    settings: Settings
    topics: Topics

    @property
    def environment(self) -> dict[str, str]:
        kafka = self.settings.kafka
        return {
            **os.environ,
            "FORGESTREAM_KAFKA": kafka.bootstrap,
            "FORGESTREAM_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        }

    def run(self, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*PROGRAM, *arguments],
            input=given,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def lines(self, *arguments: str, given: str = "") -> Sequence[Any]:
        done = self.run(*arguments, "--json", given=given)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever the command prints
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
async def shell(kafka: str, namespace: str) -> Shell:
    settings = Settings(kafka=KafkaSettings(bootstrap=kafka, topic_prefix=namespace))
    topics = Topics.of(settings.kafka)
    needed = (topics.texts, topics.results, topics.knowledge, topics.dead_letters)
    await provision([plan_of(topic, settings.kafka) for topic in needed], settings.kafka)
    return Shell(settings=settings, topics=topics)


async def bury(shell: Shell, at: FixedClock, *topics: str) -> None:
    """Leave one dead letter per topic, as the engine does."""

    @dataclass(frozen=True, kw_only=True)
    class Received:
        topic: str
        partition: int = 0
        offset: int = 17
        timestamp: int = 0
        key: bytes | None = b"\xffkey"
        value: bytes | None = b"not avro"
        headers: Sequence[tuple[str, bytes]] = (("traceparent", b"00-1"),)

    letters = [
        Outgoing(
            topic=shell.topics.dead_letters.name,
            key=b"\xffkey",
            value=b"not avro",
            headers=dead_letter_headers(
                Received(topic=topic), Undecodable("no record"), stage="admit", attempts=1, at=at.now(), stack="File x"
            ),
        )
        for topic in topics
    ]
    await deliver(letters, shell.settings)


async def test_what_is_produced_can_be_tailed_decoded(shell: Shell) -> None:
    """Two questions of a conversation and one of its own go in; tail shows them in order, on the right partitions."""
    asked = "".join(
        json.dumps({"query": q, "origin": {"session_id": "s-1"}}) + "\n" for q in ("first?", "second? ünïcödé 🐙")
    )

    sent = [*shell.lines("produce", "texts", given=asked), *shell.lines("produce", "texts", "--query", "alone?")]
    seen = shell.lines("tail", "texts", "--from", "beginning", "--no-follow")

    assert sent[0]["partition"] == sent[1]["partition"]
    assert sent[0]["key"] == "s-1"
    assert sent[2]["key"] == sent[2]["request_id"]
    assert {(one["partition"], one["offset"]) for one in seen} == {(one["partition"], one["offset"]) for one in sent}
    conversation = [one["record"]["query"] for one in seen if one["key"] == "s-1"]
    assert conversation == ["first?", "second? ünïcödé 🐙"]


async def test_one_request_is_followed_across_topics(shell: Shell) -> None:
    (first,) = shell.lines("produce", "texts", "--query", "first?")
    shell.lines("produce", "texts", "--query", "second?")

    seen = shell.lines(
        "tail", "texts", "results", "--from", "beginning", "--no-follow", "--request", first["request_id"]
    )

    assert [one["record"]["query"] for one in seen] == ["first?"]


async def test_tail_stops_after_a_count_and_shows_bytes_that_are_no_record(shell: Shell) -> None:
    await deliver(
        [Outgoing(topic=shell.topics.texts.name, key=None, value=b"\xff\xfe") for _ in range(3)], shell.settings
    )

    seen = shell.lines("tail", "texts", "--from", "beginning", "--count", "2")

    assert len(seen) == 2
    assert all("zero byte" in one["problem"] for one in seen)


async def test_ctrl_c_ends_a_tail_cleanly(shell: Shell) -> None:
    await deliver([Outgoing(topic=shell.topics.knowledge.name, key=b"d-1", value=None)], shell.settings)
    tail = await asyncio.create_subprocess_exec(
        *PROGRAM, "tail", "knowledge", "--from", "beginning", env=shell.environment, stdout=PIPE, stderr=PIPE
    )
    assert tail.stdout is not None

    shown = (await tail.stdout.readline()).decode()
    tail.send_signal(signal.SIGINT)
    _, complaints = await asyncio.wait_for(tail.communicate(), 20)

    assert "(tombstone)" in shown
    assert tail.returncode == 0
    assert complaints == b""


async def test_a_document_is_deleted_by_a_tombstone(shell: Shell) -> None:
    shell.lines("produce", "knowledge", "--delete", "moby-dick")

    (seen,) = shell.lines("tail", "knowledge", "--from", "beginning", "--no-follow")

    assert (seen["key"], seen["record"]) == ("moby-dick", None)


async def test_topics_shows_what_exists_and_what_is_wrong(shell: Shell) -> None:
    shell.lines("produce", "texts", "--query", "why?")

    rows = {row["name"]: row for row in shell.json("topics")}
    texts = rows[shell.topics.texts.name]

    assert set(rows) == {topic.name for topic in shell.topics}
    assert (texts["exists"], texts["partitions"], texts["records"], sum(texts["end_offsets"])) == (True, 4, 1, 1)
    assert not [problem for row in rows.values() for problem in row["problems"]]
    assert "as declared" in shell.run("topics").stdout


async def test_dead_letters_are_grouped_shown_and_sent_back_as_they_came(shell: Shell, clock: FixedClock) -> None:
    """The original key, bytes and headers arrive on the topic they came from; a stranger's letter stays."""
    await bury(shell, clock, shell.topics.texts.name, shell.topics.texts.name, "strange")

    (group,) = shell.json("dead-letters", "list")
    letters = shell.json("dead-letters", "list", "--each")
    shown = shell.run("dead-letters", "show", letters[0]["letter_id"])
    redriven = shell.run("dead-letters", "redrive", "--code", "undecodable", "--json")
    back = shell.lines("tail", "texts", "--from", "beginning", "--no-follow")

    assert (group["error_code"], group["stage"], group["count"]) == ("undecodable", "admit", 3)
    assert "6e 6f 74 20 61 76 72 6f" in shown.stdout
    assert "traceparent" in shown.stdout
    assert redriven.returncode == 1
    assert len(json.loads(redriven.stdout)["redriven"]) == 2
    assert len(back) == 2
    assert back[0]["headers"]["traceparent"] == "00-1"
    assert "__streams.errors.topic" not in back[0]["headers"]


async def test_a_dry_run_sends_nothing(shell: Shell, clock: FixedClock) -> None:
    await bury(shell, clock, shell.topics.texts.name)

    assert len(shell.json("dead-letters", "redrive", "--all", "--dry-run")["redriven"]) == 1
    assert not shell.lines("tail", "texts", "--from", "beginning", "--no-follow")


async def test_a_topic_that_is_not_there_yet_is_one_sentence(kafka: str, namespace: str) -> None:
    nothing = Settings(kafka=KafkaSettings(bootstrap=kafka, topic_prefix=namespace))
    shell = Shell(settings=nothing, topics=Topics.of(nothing.kafka))

    tailed, produced = shell.run("tail", "results"), shell.run("produce", "texts", "--query", "why?")

    assert (tailed.returncode, produced.returncode) == (2, 1)
    assert f"there is no topic {namespace}results" in tailed.stderr
    assert "start a worker first" in produced.stderr
