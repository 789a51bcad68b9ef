"""Replay a past of many requests through two instant models: `python -m tests.benchmarks.replay --out DIR`.

Writes the past, lets a live worker answer it, then runs `forgestream replay` twice: asking, and with recorded answers.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import Producer

from schemas.ids import RANDOM_BYTES, uuid7
from schemas.records import KnowledgeDocument, Origin, TextQuery
from schemas.registry import LockedIds, serde
from streams.settings import EmbeddedSettings, KafkaSettings
from streams.topic import Topic
from tests.benchmarks.child import Measured
from tests.child import forgestream
from tests.cluster import Cluster
from topology.contract import subjects
from topology.demo.library import documents, labelled
from topology.embedded.kafka import EmbeddedKafka
from topology.provision import plan_of, provision
from topology.replay.topics import results
from topology.topics import Topics

PER_S = 20
QUEUED = 50_000
TIMEOUT_S = 60.0
FOREIGN = ("Which football club won on Sunday?", "How do I reset my router?", " ")
BETWEEN = 10  # a foreign or empty question after so many others
LIVE_S = 600.0


class Past:
    """What was asked, and the library it was answered from."""

    def __init__(self, kafka: KafkaSettings, count: int, began: datetime) -> None:
        self.topics = Topics.of(kafka)
        self.count = count
        self.library = documents(began)
        self._kafka = kafka
        self._began = began
        self._ids = LockedIds()
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})

    async def prepare(self) -> None:
        """Make the topics and write the library."""
        await self._ids.start(subjects([self.topics.texts, self.topics.knowledge]))
        await provision([plan_of(topic, self._kafka) for topic in self.topics], self._kafka)
        codec = serde(self._ids, self.topics.knowledge.name, KnowledgeDocument)
        for document in self.library:
            self._send(self.topics.knowledge.name, document.document_id, codec.encode(document), self._began)
        self._producer.flush(TIMEOUT_S)

    def ask(self) -> None:
        """Write the questions of the demo, over and over, in conversations of four."""
        codec = serde(self._ids, self.topics.texts.name, TextQuery)
        domains = {document.document_id: str(document.domain) for document in self.library}
        for number, (question, domain) in enumerate(islice(_questions(domains), self.count)):
            at = self._began + timedelta(milliseconds=number * 1000 // PER_S)
            request_id = uuid7(int(at.timestamp() * 1000), number.to_bytes(RANDOM_BYTES, "big"))
            origin = Origin(
                request_id=request_id,
                correlation_id=request_id,
                session_id=f"session-{number // 4}",
                event_time=at,
                deadline=at + timedelta(hours=12),
            )
            query = TextQuery(origin=origin, query=question, domain=domain)
            self._send(self.topics.texts.name, self.topics.texts.key(query), codec.encode(query), at)
        self._producer.flush(TIMEOUT_S)

    def _send(self, topic: str, key: str, value: bytes, at: datetime) -> None:
        self._producer.produce(topic, value, key.encode(), timestamp=int(at.timestamp() * 1000))
        if len(self._producer) > QUEUED:
            self._producer.flush(TIMEOUT_S)


def _questions(domains: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    foreign = cycle(FOREIGN)
    for number, asked in enumerate(cycle(labelled())):
        yield asked.question, domains[asked.document_id]
        if number % BETWEEN == 0:
            yield next(foreign), "general"


def stored(bootstrap: str, topic: Topic[Any]) -> list[tuple[bytes, bytes]]:
    """Return what a topic holds."""
    cluster = Cluster(bootstrap)
    cluster.adopt([topic.name], topic.partitions)
    return [(one.key, one.value) for one in cluster.read(topic.name)]


@contextmanager
def broker() -> Iterator[str]:
    """Give the address of the cluster in FORGESTREAM_KAFKA, else of an embedded broker."""
    if existing := os.environ.get("FORGESTREAM_KAFKA", ""):
        yield existing
        return
    with EmbeddedKafka(EmbeddedSettings()) as kafka:
        yield kafka.bootstrap


def live(bootstrap: str, past: Past, environment: Mapping[str, str], log: Path) -> None:
    """Let a worker take in the library, then answer everything."""
    cluster = Cluster(bootstrap)
    topics = past.topics
    cluster.adopt([topics.results.name, topics.invalidations.name], topics.results.partitions)
    with Measured(forgestream("worker"), log, environment) as worker:
        _await(worker, lambda: cluster.stored([topics.invalidations.name]) >= len(past.library))
        past.ask()
        _await(worker, lambda: cluster.stored([topics.results.name]) >= past.count)


def _await(worker: Measured, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIVE_S
    while not condition():
        if worker.returncode is not None or time.monotonic() > deadline:
            raise TimeoutError(worker.tail())
        time.sleep(0.2)


def timed(arguments: list[str], environment: Mapping[str, str], log: Path) -> tuple[float, Measured]:
    """Run a replay; returns its seconds, and what it took of the machine."""
    began = time.monotonic()
    with Measured(forgestream(*arguments), log, environment) as child:
        while child.returncode is None:
            child.sample()
            time.sleep(0.1)
        if child.returncode:
            raise RuntimeError(child.tail())
        return time.monotonic() - began, child


def main(arguments: list[str]) -> None:
    """Measure, and leave the reports in `--out`."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.replay", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("replay-benchmark"))
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    with broker() as bootstrap, tempfile.TemporaryDirectory() as store:
        kafka = KafkaSettings(bootstrap=bootstrap, topic_prefix=f"bench-{uuid4().hex[:8]}-")
        seconds = chosen.requests / PER_S
        began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds + 60)
        past = Past(kafka, chosen.requests, began)
        asyncio.run(past.prepare())
        environment = {
            "FORGESTREAM_KAFKA": bootstrap,
            "FORGESTREAM_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "FORGESTREAM_ROUTE_MODELS": "extractive",
            "FORGESTREAM_EMBEDDED_DATA_DIR": store,
            "FORGESTREAM_TELEMETRY_LOG_LEVEL": "error",
        }
        live(bootstrap, past, environment, chosen.out / "live.log")
        end = began + timedelta(seconds=seconds)
        order = [
            "replay",
            "--from",
            began.isoformat(),
            "--to",
            end.isoformat(),
            "--model",
            "extractive",
            "--model",
            "echo",
        ]
        print(
            f"| {chosen.requests:,} requests, asked in {seconds:,.0f} s, through 2 models | s | requests/s | CPU s | MB |"
        )
        print("|---|---|---|---|---|")
        for name, title, answers in (
            ("asked", "models asked, answers recorded", "fresh"),
            ("recorded", "recorded answers said again", "recorded"),
        ):
            command = [*order, "--out", str(chosen.out), "--name", name, "--answers", answers]
            took_s, child = timed(command, environment, chosen.out / f"{name}.log")
            rate = 2 * chosen.requests / took_s
            print(f"| {title} | {took_s:.1f} | {rate:,.0f} | {child.cpu_s:.0f} | {child.rss_mb:,.0f} |", flush=True)
        same = all(
            stored(bootstrap, results(kafka, "asked", number)) == stored(bootstrap, results(kafka, "recorded", number))
            for number in (1, 2)
        )
        print(f"\nResult topics of both byte-identical: {'yes' if same else 'NO'}.")
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}.")


if __name__ == "__main__":
    main(sys.argv[1:])
