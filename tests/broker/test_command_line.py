"""`forgestream produce`, `tail`, `topics` and `dead-letters` against a real broker, as a person uses them."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from base64 import b64decode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from schemas.generate import FOLDER
from schemas.published import read, versions
from streams.deadletter import FORGESTREAM, STREAMS, dead_letter_headers
from streams.errors import HandlerFailed, PipelineError, StoreUnavailable, Undecodable
from streams.producer import Headers
from streams.settings import KafkaSettings, Settings
from tests.clock import FixedClock
from tests.fakes.received import FakeReceived
from tests.pipeline.test_behaviour import a_question_as_bytes
from topology.cli.root import commands
from topology.producing import Outgoing, deliver
from topology.provision import plan_of, provision
from topology.topics import Topics

UNAVAILABLE = StoreUnavailable("no answer")
PROGRAM = [sys.executable, "-m", "topology.cli"]


class Done(NamedTuple):
    """What a command has left behind."""

    returncode: int
    stdout: str
    stderr: str


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
            "FORGESTREAM_KAFKA_PARTITIONS": str(kafka.partitions),
        }

    def run(self, *arguments: str, given: str = "") -> Done:
        """Run a command in a thread: a loop of its own, and none of the seconds a new process takes to import everything."""
        with ThreadPoolExecutor(1) as thread:
            shown = thread.submit(CliRunner().invoke, commands(), arguments, input=given, env=self.environment).result()
        return Done(shown.exit_code, shown.stdout, shown.stderr)

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


async def bury(
    shell: Shell,
    at: FixedClock,
    *topics: str,
    error: PipelineError = UNAVAILABLE,
    value: bytes | None = None,
    headers: Headers = (("traceparent", b"00-1"),),
) -> None:
    """Leave one dead letter per topic, as the engine does; a question when no value is given."""
    question = await a_question_as_bytes(shell.topics.texts) if value is None else value

    letters = [
        Outgoing(
            topic=shell.topics.dead_letters.name,
            key=b"\xffkey",
            value=question,
            headers=dead_letter_headers(
                FakeReceived(17, question, b"\xffkey", topic, headers=headers),
                error,
                stage="admit",
                attempts=1,
                at=at.now(),
                stack="File x",
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
    assert sent[0]["key"] == "default#s-1"
    assert sent[2]["key"] == f"default#{sent[2]['request_id']}"
    assert {(one["partition"], one["offset"]) for one in seen} == {(one["partition"], one["offset"]) for one in sent}
    conversation = [one["record"]["query"] for one in seen if one["key"] == "default#s-1"]
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
    await bury(shell, clock, shell.topics.texts.name, shell.topics.texts.name, "strange", shell.topics.tokens.name)

    (group,) = shell.json("dead-letters", "list")
    letters = shell.json("dead-letters", "list", "--each")
    shown = shell.run("dead-letters", "show", letters[0]["letter_id"])
    redriven = shell.run("dead-letters", "redrive", "--code", "store_unavailable", "--json", "--by", "ada")
    back = shell.lines("tail", "texts", "--from", "beginning", "--no-follow")

    newest = versions(read(FOLDER), "TextQuery")[-1]
    assert (group["error_code"], group["stage"], group["schema_id"], group["count"]) == (
        "store_unavailable",
        "admit",
        str(newest.schema_id),
        4,
    )
    assert "72 65 71 75 65 73 74 2d 31" in shown.stdout
    assert "traceparent" in shown.stdout
    assert redriven.returncode == 1
    assert len(json.loads(redriven.stdout)["redriven"]) == 2
    assert {one["reason"] for one in json.loads(redriven.stdout)["refused"]} == {"names no topic that a stage reads"}
    assert len(back) == 2
    assert back[0]["headers"]["traceparent"] == "00-1"
    assert back[0]["headers"]["forgestream.redrives"] == "1"
    assert "__streams.errors.topic" not in back[0]["headers"]


async def test_a_redrive_is_noted_and_its_letter_is_open_no_more(shell: Shell, clock: FixedClock) -> None:
    await bury(shell, clock, shell.topics.texts.name)
    (letter,) = shell.json("dead-letters", "list", "--each")
    place = letter["letter_id"]

    first = shell.run("dead-letters", "redrive", place, "--by", "ada", "--reason", "store is back")
    again = shell.run("dead-letters", "redrive", place, "--json")
    forced = shell.run("dead-letters", "redrive", place, "--force", "--by", "bob")

    assert (first.returncode, again.returncode, forced.returncode) == (0, 1, 0)
    assert "sent back already, by ada" in again.stdout
    notes = [one["record"] for one in shell.lines("tail", "redrives", "--from", "beginning", "--no-follow")]
    assert [(note["letter_id"], note["issued_by"], note["reason"], note["forced"]) for note in notes] == [
        (place, "ada", "store is back", False),
        (place, "bob", "", True),
    ]
    assert shell.json("dead-letters", "list") == []
    (closed,) = shell.json("dead-letters", "list", "--each", "--redriven")
    assert closed["redrive"]["issued_by"] == "bob"
    assert "by bob" in shell.run("dead-letters", "show", place).stdout
    assert len(shell.lines("tail", "texts", "--from", "beginning", "--no-follow")) == 2


async def test_what_would_fail_the_same_way_goes_back_only_when_forced(shell: Shell, clock: FixedClock) -> None:
    """Bytes that are no record, an unknown schema, and a bug of the code that still runs."""
    texts = shell.topics.texts.name
    await bury(shell, clock, texts, error=Undecodable("no record"), value=b"not avro")
    await bury(shell, clock, texts, error=Undecodable("unknown"), value=b"\x00\x7f\xff\xff\xffbytes")
    await bury(shell, clock, texts, error=HandlerFailed("a bug"))

    refused = shell.run("dead-letters", "redrive", "--all", "--json")
    unsent = shell.lines("tail", "texts", "--from", "beginning", "--no-follow")
    forced = shell.run("dead-letters", "redrive", "--all", "--force")

    assert refused.returncode == 1
    reasons = [one["reason"] for one in json.loads(refused.stdout)["refused"]]
    assert len(reasons) == 3
    assert all(reason.startswith("would fail the same way") for reason in reasons)
    assert unsent == []
    assert forced.returncode == 0
    assert len(shell.lines("tail", "texts", "--from", "beginning", "--no-follow")) == 3


async def test_a_dry_run_sends_and_notes_nothing(shell: Shell, clock: FixedClock) -> None:
    await bury(shell, clock, shell.topics.texts.name)

    assert len(shell.json("dead-letters", "redrive", "--all", "--dry-run")["redriven"]) == 1
    assert not shell.lines("tail", "texts", "--from", "beginning", "--no-follow")
    assert len(shell.json("dead-letters", "list", "--each")) == 1


async def test_letters_are_exported_byte_for_byte(shell: Shell, clock: FixedClock, tmp_path: Path) -> None:
    """Headers of one name twice, bytes of every value and an empty value included; a file that is there stays."""
    headers = (("trace", b"\x00\xff\x1b[2J"), ("trace", b"second"))
    await bury(shell, clock, shell.topics.texts.name, value=bytes(range(256)) * 4000, headers=headers)
    await bury(shell, clock, shell.topics.texts.name, value=b"", headers=())
    file = tmp_path / "letters.jsonl"

    written = shell.run("dead-letters", "export", "-o", str(file))
    again = shell.run("dead-letters", "export", "-o", str(file))

    assert (written.returncode, again.returncode) == (0, 2)
    assert "2 letters" in written.stderr
    large, empty = (json.loads(line) for line in file.read_text().splitlines())
    assert b64decode(large["value"]) == bytes(range(256)) * 4000
    assert [(name, b64decode(content)) for name, content in large["headers"]][:2] == list(headers)
    assert (empty["value"], b64decode(empty["key"])) == ("", b"\xffkey")
    assert shell.run("dead-letters", "export", "--code", "nothing").stdout == ""


async def test_hostile_letters_are_shown_and_obeyed_by_no_terminal(shell: Shell, clock: FixedClock) -> None:
    """Escape sequences, markup, marks that turn text around, a megabyte in a header and thousands of headers."""
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e[bold red][/]\\[x] \r"
    names = [f"{STREAMS}{name}" for name in ("topic", "message", "exception", "stacktrace", "partition")]
    names += [f"{FORGESTREAM}{name}" for name in ("stage", "error-code", "attempts", "first-failed-at", "schema-id")]
    headers = [(name, f"{evil}{name}".encode()) for name in [*names, evil]]
    headers += [("large", b"x" * 1_000_000), *((f"h{number}", b"\x1b[5m") for number in range(3000))]
    letter = Outgoing(
        topic=shell.topics.dead_letters.name, key=evil.encode(), value=b"\x1b[2J" * 100_000, headers=headers
    )
    nothing = Outgoing(topic=shell.topics.dead_letters.name, key=None, value=None)
    await deliver([letter, nothing], shell.settings)

    ids = [one["letter_id"] for one in shell.json("dead-letters", "list", "--each")]
    outputs = [shell.run("dead-letters", "list"), shell.run("dead-letters", "list", "--each")]
    outputs += [shell.run("dead-letters", "list", "--json"), shell.run("dead-letters", "redrive", "--all")]
    outputs += [shell.run("dead-letters", "show", one, *how) for one in ids for how in ((), ("--json",))]

    assert len(ids) == 2
    for output in outputs:
        assert "Traceback" not in output.stderr
        assert not {"\x1b", "\x9b", "\x07", "\u202e", "\r"} & set(output.stdout + output.stderr)
    assert [output.returncode for output in outputs] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert any("\\x1b]0;owned" in output.stdout for output in outputs)
    assert all(len(output.stdout) < 200_000 for output in outputs[:2])


async def test_a_letter_that_is_not_there_is_said_and_is_exit_code_1(shell: Shell, clock: FixedClock) -> None:
    await bury(shell, clock, shell.topics.texts.name)

    for place in ("0@999", "399@0"):
        shown = shell.run("dead-letters", "show", place)
        sent = shell.run("dead-letters", "redrive", place, "--json")

        assert (shown.returncode, sent.returncode) == (1, 1)
        assert f"there is no dead letter {place}" in shown.stderr
        assert json.loads(sent.stdout)["missing"] == [place]


async def test_a_topic_that_is_not_there_yet_is_one_sentence(kafka: str, namespace: str) -> None:
    nothing = Settings(kafka=KafkaSettings(bootstrap=kafka, topic_prefix=namespace))
    shell = Shell(settings=nothing, topics=Topics.of(nothing.kafka))

    tailed, produced = shell.run("tail", "results"), shell.run("produce", "texts", "--query", "why?")

    assert (tailed.returncode, produced.returncode) == (2, 1)
    assert f"there is no topic {namespace}results" in tailed.stderr
    assert "start a worker first" in produced.stderr


async def test_documents_are_ingested_under_ids_that_stay_and_taken_out_again(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "whale.md").write_text("# The Whale\n\nWhite.", encoding="utf-8")
    (tmp_path / "tides.html").write_text("<title>Tides</title><p>They rise.", encoding="utf-8")

    first = shell.lines("ingest", str(tmp_path))
    again = shell.lines("ingest", str(tmp_path / "whale.md"), f"{tmp_path}/*.html")
    (tmp_path / "whale.md").unlink()
    deleted = shell.lines("ingest", "--delete", str(tmp_path / "whale.md"))

    assert sorted(line["title"] for line in first) == ["The Whale", "Tides"]
    assert {line["document_id"] for line in first} == {line["document_id"] for line in again}
    found = shell.lines("tail", "knowledge", "--from", "beginning", "--no-follow")
    assert len(found) == 5
    assert found[-1]["record"] is None or any(line["record"] is None for line in found)
    assert deleted[0]["document_id"] in {line["document_id"] for line in first}


async def test_a_document_nobody_indexes_in_time_is_said(shell: Shell, tmp_path: Path) -> None:
    await provision([plan_of(shell.topics.invalidations, shell.settings.kafka)], shell.settings.kafka)
    (tmp_path / "whale.txt").write_text("White.", encoding="utf-8")

    done = shell.run("ingest", str(tmp_path), "--wait", "--within", "1")

    assert done.returncode == 1
    assert "1 of 1 documents were not indexed within 1 s; is a worker running?" in done.stderr
