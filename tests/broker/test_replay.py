"""`forgestream replay` on a real broker: a past is written, then asked again."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from agents.publish.rules import feedback, result
from schemas.records import KnowledgeDocument, TextQuery
from schemas.registry import LockedIds, serde
from streams.clients.providers import sink_of
from streams.errors import DataForgeUnavailable, StartRefused
from streams.settings import (
    DataForgeSettings,
    EmbedSettings,
    KafkaSettings,
    RankSettings,
    RouteSettings,
    Settings,
    StoreSettings,
    TelemetrySettings,
)
from tests.child import Child, forgestream
from tests.eventually import eventually
from tests.given import NOON, PASSAGE, an_evaluation, an_origin
from topology.cluster import Cluster
from topology.contract import known_schemas, subjects
from topology.plain import to_plain
from topology.provision import plan_of, provision
from topology.replay.learned import snapshot
from topology.replay.order import Answers, Knowledge, Order, Seed, ordered
from topology.replay.report import reported
from topology.replay.run import find, outlook, replay
from topology.replay.topics import results
from topology.topics import Topics

SEVERAL_WINDOWS = 1_000
HOUR = timedelta(hours=1)
QUESTIONS = (
    "Who wrote Frankenstein?",
    "When did she begin it?",
    "How many moons has Mars?",
    "   ",  # is rejected
)


@dataclass(frozen=True, kw_only=True)
class Past:
    """A live deployment whose workers are gone: topics with what was asked an hour ago."""

    settings: Settings
    began: datetime

    @property
    def topics(self) -> Topics:
        return Topics.of(self.settings.kafka)

    @property
    def environment(self) -> Mapping[str, str]:
        kafka = self.settings.kafka
        return {
            "FORGESTREAM_KAFKA": kafka.bootstrap,
            "FORGESTREAM_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "FORGESTREAM_KAFKA_PARTITIONS": str(kafka.partitions),
            "FORGESTREAM_EMBED_PROVIDER": "hashing",
            "FORGESTREAM_STORE_URI": "memory",
            "FORGESTREAM_ROUTE_MODELS": "extractive",
            "FORGESTREAM_TELEMETRY_LOG_LEVEL": "error",
        }

    def order(self, *models: str, topic: str = "texts", **changes: Any) -> Order:  # noqa: ANN401 - of `ordered`
        values: dict[str, Any] = {
            "topic": topic,
            "start": self.began,
            "end": self.began + HOUR,
            "models": list(models),
            "strategies": [],
            "evaluator": None,
            "prompt_version": None,
            "sample": 1.0,
            "seed": Seed.EMPTY,
            "knowledge": Knowledge.TOPIC,
        }
        return ordered(**(values | changes))

    async def write(self, count: int, *, first: int = 0, patience: timedelta = timedelta(seconds=30)) -> None:
        """Ask questions, ten a second, in conversations of three; the library is there before."""
        ids = LockedIds()
        await ids.start(subjects([self.topics.texts, self.topics.knowledge]))
        library = KnowledgeDocument(document_id="f", title="Frankenstein", text=PASSAGE, updated_at=self.began)
        producer = Producer({"bootstrap.servers": self.settings.kafka.bootstrap, "partitioner": "murmur2_random"})
        began_ms = int(self.began.timestamp() * 1000)
        knowledge = serde(ids, self.topics.knowledge.name, KnowledgeDocument).encode(library)
        producer.produce(self.topics.knowledge.name, knowledge, b"f", timestamp=began_ms - 1000)
        codec = serde(ids, self.topics.texts.name, TextQuery)
        for number in range(first, first + count):
            at = self.began + timedelta(milliseconds=100 * number)
            origin = replace(
                an_origin(f"request-{number}", session_id=f"session-{number // 3}"),
                event_time=at,
                deadline=at + patience,  # of the past: long over, by the clock of the machine
            )
            query = TextQuery(origin=origin, query=QUESTIONS[number % len(QUESTIONS)])
            key, value = self.topics.texts.key(query).encode(), codec.encode(query)
            producer.produce(self.topics.texts.name, value, key, timestamp=began_ms + 100 * number)
        assert producer.flush(20) == 0

    def stored(self, topic: str) -> Sequence[tuple[bytes, bytes]]:
        """Return keys and values of a topic, partition by partition."""
        kafka = self.settings.kafka
        found = asyncio.run(_ends(kafka, topic))
        consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "reader", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, partition, 0) for partition in found])
        messages: list[Any] = []
        while len(messages) < sum(found.values()):
            messages += consumer.consume(1000, timeout=1.0)
        consumer.close()
        assert not [one for one in messages if one.error()]
        messages.sort(key=lambda one: (one.partition(), one.offset()))
        return [(one.key(), one.value()) for one in messages]

    def replayed(self, *models: str, name: str, answers: Answers = Answers.REUSE, **changes: Any) -> Any:  # noqa: ANN401 - of `order`
        """Run a replay to its end."""
        return asyncio.run(
            replay(
                self.settings,
                self.order(*models, **changes),
                name,
                answers,
                in_flight=64,
                tell=lambda _: None,
                advance=lambda *_: None,
            )
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command line."""
        return subprocess.run(
            forgestream(*arguments),
            env=os.environ | dict(self.environment),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


async def _ends(kafka: KafkaSettings, topic: str) -> Mapping[int, int]:
    cluster = Cluster(kafka)
    existing = (await cluster.topics())[topic]
    return {partition: end for (_, partition), (_, end) in (await cluster.offsets([existing])).items()}


@pytest.fixture
def past(kafka: str, namespace: str) -> Past:
    settings = Settings(
        kafka=KafkaSettings(bootstrap=kafka, topic_prefix=namespace, partitions=2),
        embed=EmbedSettings(provider="hashing"),
        store=StoreSettings(uri="memory"),
        route=RouteSettings(models="extractive"),
        rank=RankSettings(min_samples=2),
    )
    began = datetime.now(UTC).replace(microsecond=0) - 2 * HOUR
    found = Past(settings=settings, began=began)
    asyncio.run(provision([plan_of(topic, settings.kafka) for topic in found.topics], settings.kafka))
    return found


def test_two_replays_with_recorded_answers_are_byte_identical_and_ask_nobody(past: Past) -> None:
    """The first replay records; the second, that may ask nobody, and a third of other speed, write the same bytes."""
    asyncio.run(past.write(60))

    past.replayed("extractive", "echo", name="one")
    past.replayed("extractive", "echo", name="two", answers=Answers.RECORDED)
    nothing_recorded = past.replayed("extractive", name="three", answers=Answers.RECORDED, sample=0.5)

    for number in (1, 2):
        first = past.stored(results(past.settings.kafka, "one", number).name)
        assert len(first) == 60
        assert past.stored(results(past.settings.kafka, "two", number).name) == first
    assert nothing_recorded.requests < 60


def test_deadlines_pass_as_they_did_and_each_request_ends_once(past: Past) -> None:
    """All deadlines are over by the machine's clock; by the clock of the replay none is."""
    asyncio.run(past.write(40))

    past.replayed("extractive", name="one")

    done = _decoded(past, "one", 1)
    assert [one.position for one in done] == list(range(40))
    assert {one.result.status for one in done} <= {"ok", "degraded", "rejected"}
    assert sum(one.result.status == "rejected" for one in done) == 10
    assert {one.result.origin.replay_id for one in done} == {past.order("extractive").digest(past.settings)}
    answered = [one for one in done if one.query == QUESTIONS[0]]
    assert all(one.result.text.startswith("Mary Shelley wrote Frankenstein") for one in answered)


def _decoded(past: Past, name: str, number: int) -> list[Any]:
    codec = _codec(past, name, number)
    return [codec.decode(value) for _, value in past.stored(results(past.settings.kafka, name, number).name)]


def _codec(past: Past, name: str, number: int) -> Any:  # noqa: ANN401 - of whatever is journalled
    topic = results(past.settings.kafka, name, number)
    ids = LockedIds()
    asyncio.run(ids.start(subjects([topic])))
    return serde(ids, topic.name, topic.record)


def _flat(past: Past, stored: Mapping[bytes, bytes]) -> set[tuple[str, ...]]:
    """Return results as key, path and value of each field: what a test that fails has to show."""
    codec = _codec(past, "whole", 1)
    return {(key.decode(), *leaf) for key, value in stored.items() for leaf in _leaves(to_plain(codec.decode(value)))}


def _leaves(plain: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON
    if isinstance(plain, dict):
        for name, value in plain.items():
            yield from _leaves(value, f"{path}.{name}")
    elif isinstance(plain, list):
        for number, value in enumerate(plain):
            yield from _leaves(value, f"{path}[{number}]")
    else:
        yield path, repr(plain)


def test_nothing_live_is_touched_and_nobody_outside_is_called(past: Past, tmp_path: Path) -> None:
    """DataForge, a registry, Milvus and a trace collector are configured and listen; none of them hears anything."""
    asyncio.run(past.write(20))

    async def calls_during(work: Callable[[Settings], Any]) -> int:
        heard = 0

        async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal heard
            heard += 1
            writer.close()

        async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await work(
                replace(
                    past.settings,
                    dataforge=DataForgeSettings(url=url, api_key="k", timeout_s=1.0),
                    telemetry=TelemetrySettings(otlp_endpoint=url, log_level="error"),
                    store=StoreSettings(uri=url),
                )
            )
        return heard

    async def deliver(settings: Settings) -> None:
        sink = sink_of(settings.dataforge)
        assert sink is not None
        await sink.start()
        evaluation = an_evaluation()
        (fate,) = await sink.deliver([feedback(evaluation, result(evaluation, NOON))])
        assert isinstance(fate, DataForgeUnavailable)
        await sink.close()

    async def again(settings: Settings) -> None:
        order = past.order("extractive")
        done = await replay(
            settings, order, "one", Answers.REUSE, in_flight=8, tell=lambda _: None, advance=lambda *_: None
        )
        assert done.finished_at is not None

    before = _everything_live(past)
    with Connections() as of_delivery:
        delivering = asyncio.run(calls_during(deliver))
    with Connections() as of_replay:
        replaying = asyncio.run(calls_during(again))

    assert delivering > 0  # the listener does hear a delivery,
    assert of_delivery.seen  # and so do we
    assert replaying == 0
    host, port = past.settings.kafka.bootstrap.split(":")
    assert of_replay.seen <= {(host, int(port))}
    assert _everything_live(past) == before


class Connections:
    """Where Python code has connected to. An audit hook stays for good, so it is told when to listen."""

    def __init__(self) -> None:
        self.seen: set[object] = set()
        self.listening = False
        sys.addaudithook(self._hear)

    def __enter__(self) -> Self:
        self.listening = True
        return self

    def __exit__(self, *_: object) -> None:
        self.listening = False

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.listening and event == "socket.connect":
            self.seen.add(arguments[1])


def _everything_live(past: Past) -> Mapping[str, Mapping[int, int]]:
    async def ends() -> Mapping[str, Mapping[int, int]]:
        return {topic.name: await _ends(past.settings.kafka, topic.name) for topic in past.topics}

    return asyncio.run(ends())


def test_a_replay_that_was_killed_goes_on_and_ends_as_if_it_had_not_been(past: Past, tmp_path: Path) -> None:
    asyncio.run(past.write(SEVERAL_WINDOWS))
    start = past.began.isoformat()
    end = (past.began + HOUR).isoformat()
    arguments = ("replay", "--from", start, "--to", end, "--model", "extractive", "--out", str(tmp_path), "--name")
    journal = results(past.settings.kafka, "killed", 1).name

    watching = Consumer({"bootstrap.servers": past.settings.kafka.bootstrap, "group.id": "watching"})

    def first_window() -> bool:
        try:
            _, end = watching.get_watermark_offsets(TopicPartition(journal, 0), timeout=5.0)
        except KafkaException:  # not made yet
            return False
        return 0 < end < SEVERAL_WINDOWS

    with Child(forgestream(*arguments, "killed"), tmp_path / "log", past.environment) as child:
        eventually(lambda: first_window() or child.returncode is not None, within_s=60, what="a window to be written")
        assert child.returncode is None, child.tail()
        child.kill()
    watching.close()
    resumed = past.run(*arguments, "killed")
    whole = past.run(*arguments, "whole", "--answers", "recorded")

    assert (resumed.returncode, whole.returncode) == (0, 0), resumed.stderr + whole.stderr
    killed = dict(past.stored(journal))
    assert len(killed) == SEVERAL_WINDOWS
    mine = f"{past.settings.kafka.topic_prefix}replay-killed-"
    assert [name for name in asyncio.run(Cluster(past.settings.kafka).topics()) if name.startswith(mine)] == [journal]
    unbroken = dict(past.stored(results(past.settings.kafka, "whole", 1).name))
    assert killed.keys() == unbroken.keys()
    assert _flat(past, killed) ^ _flat(past, unbroken) == set()
    assert killed == unbroken


def test_it_is_reported_listed_and_dropped(past: Past, tmp_path: Path) -> None:
    asyncio.run(past.write(24))
    past.replayed("extractive", "echo", name="one")

    shown = past.run("replay", "report", "one", "--out", str(tmp_path))
    listed = json.loads(past.run("replay", "list", "--json").stdout)
    dropped = past.run("replay", "drop", "one")
    page = (tmp_path / "replay-one.html").read_text(encoding="utf-8")
    mine = f"{past.settings.kafka.topic_prefix}replay-one-"
    left = [name for name in asyncio.run(Cluster(past.settings.kafka).topics()) if name.startswith(mine)]

    assert shown.returncode == 0, shown.stderr
    assert "echo is worse than extractive" in shown.stdout
    assert "no result of the time is left" in shown.stdout
    assert "<svg" in page
    assert "Largest regressions" in page
    assert [(one["replay"]["name"], one["done"], one["of"]) for one in listed] == [("one", 48, 48)]
    assert dropped.returncode == 0
    assert left == []
    assert json.loads(past.run("replay", "list", "--json").stdout) == []


def _leader(past: Past) -> str | None:
    told = asyncio.run(snapshot(past.settings, known_schemas(past.settings.registry), past.began + HOUR))
    ranking = told.champions.get("general/analysis")
    return ranking.champion if ranking is not None else None


def test_what_was_answered_at_the_time_is_compared_with_and_prompts_can_be_replayed(past: Past, tmp_path: Path) -> None:
    """A live worker answers the past with `extractive`; then its prompts are replayed with `echo`, passages as they were."""
    now = replace(past, began=datetime.now(UTC).replace(microsecond=0))
    asyncio.run(now.write(12, patience=HOUR))
    units = [word for unit in ("intake", "inference", "learning") for word in ("--unit", unit)]
    with Child(forgestream("worker", *units), tmp_path / "log", now.environment) as worker:
        eventually(
            lambda: sum(asyncio.run(_ends(now.settings.kafka, now.topics.results.name)).values()) == 12,
            within_s=60,
            what=f"the results of a live worker\n{worker.tail()}",
        )
        eventually(
            lambda: _leader(now) == "extractive", within_s=60, what=f"a champion of a live worker\n{worker.tail()}"
        )

    done = now.replayed("extractive", "echo", name="one", topic="prompts")
    report = asyncio.run(reported(now.settings, done))

    seeded, before = (
        asyncio.run(snapshot(now.settings, known_schemas(now.settings.registry), at))
        for at in (now.began + HOUR, now.began - HOUR)
    )
    assert seeded.champions["general/analysis"].champion == "extractive"
    assert before.champions == {}
    assert any("compacted away" in note for note in before.notes)
    history, same, other = report.sides
    assert (history.name, history.requests) == ("history", 9)
    assert dict(history.statuses) == dict(same.statuses)
    all_of = {(one.before, one.after): one.compared for one in report.comparisons if one.cell == "all"}
    assert all_of["history", "extractive"].ties == 9
    assert all_of["history", "echo"].losses > 0
    assert other.score.mean < same.score.mean


def test_a_dry_run_says_what_is_there_and_writes_nothing(past: Past) -> None:
    asyncio.run(past.write(30))
    asyncio.run(past.write(1, first=3))  # once more: the same id

    found = asyncio.run(outlook(past.settings, past.order("extractive"), None))

    assert (found.survey.taken, found.survey.found, found.survey.repeated) == (30, 31, 1)
    assert any("repeat the id" in note for note in found.notes)
    assert asyncio.run(find(past.settings.kafka, found.name)) is None
    names = asyncio.run(Cluster(past.settings.kafka).topics())
    assert not [name for name in names if name.startswith(f"{past.settings.kafka.topic_prefix}replay")]


def test_what_cannot_be_replayed_is_one_clear_sentence(past: Past, namespace: str) -> None:
    """An empty range, another deployment without topics, a taken name."""
    asyncio.run(past.write(4))
    empty = past.order("extractive", start=past.began - 2 * HOUR, end=past.began - HOUR)
    elsewhere = replace(past.settings, kafka=replace(past.settings.kafka, topic_prefix=f"{namespace}x-"))

    with pytest.raises(StartRefused, match=r"has no request from .*; its oldest records are of"):
        asyncio.run(outlook(past.settings, empty, None))
    with pytest.raises(StartRefused, match="there is no topic"):
        asyncio.run(outlook(elsewhere, past.order("extractive"), None))
    past.replayed("extractive", name="one")
    with pytest.raises(StartRefused, match="replay one is another one"):
        past.replayed("echo", name="one")


def test_unreadable_records_are_counted_and_left_out(past: Past) -> None:
    asyncio.run(past.write(8))
    producer = Producer({"bootstrap.servers": past.settings.kafka.bootstrap})
    at = int(past.began.timestamp() * 1000)
    for value in (b"not avro", b"\x00\x00\x0f\x42\x40 unknown schema", None):
        producer.produce(past.topics.texts.name, value, b"k", timestamp=at)
    assert producer.flush(20) == 0

    found = asyncio.run(outlook(past.settings, past.order("extractive"), None))

    assert (found.survey.taken, found.survey.found, sum(found.survey.unreadable.values())) == (8, 11, 3)
    assert sum("cannot be read" in note for note in found.notes) == 3


def test_a_range_that_retention_has_cut_is_reported_as_partial(past: Past) -> None:
    asyncio.run(past.write(20))
    texts = past.topics.texts.name
    ends = asyncio.run(_ends(past.settings.kafka, texts))
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    admin = AdminClient({"bootstrap.servers": past.settings.kafka.bootstrap})
    cut = [TopicPartition(texts, partition, end // 2) for partition, end in ends.items()]
    for future in admin.delete_records(cut).values():
        future.result(20)

    found = asyncio.run(outlook(past.settings, past.order("extractive"), None))

    assert found.survey.taken == sum(ends.values()) - sum(end // 2 for end in ends.values())
    assert any("the range is partial" in note for note in found.notes)
