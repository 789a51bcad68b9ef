"""`make talk`: spoken conversations for MINUTES with everything real: does memory stay where it is?

A person asks, waits until the whole answer was spoken, and asks again, in conversations of some turns. Broker, worker and
its programs run as they are deployed. Writes the table of docs/voice.md.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from pathlib import Path
from statistics import mean
from typing import NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.records import AudioChunk, Origin, SpeechChunk
from schemas.registry import LockedIds, serde
from streams.clients.speech.engine_process import EngineProcess
from streams.clients.speech.registry import PIPER, PROGRAMS, installed_voice
from streams.settings import EmbeddedSettings, KafkaSettings
from streams.speech import Spoken
from tests.benchmarks.pages import written
from tests.benchmarks.replay import Past
from tests.child import Child, forgestream
from tests.cluster import Cluster
from tests.eventually import eventually
from topology.contract import subjects
from topology.demo.library import labelled
from topology.embedded.kafka import EmbeddedKafka
from topology.topics import Topics

QUESTIONS = 12
TURNS = 6  # of a conversation
MODELS = "smollm2 and extractive"
ANSWERED_S = 60.0
SAMPLE_EVERY_S = 5.0
ROWS = 10
FEWEST_MINUTES = 1.0
SETTLED = 0.3  # share of the time after which caches and pools have their size
MEBIBYTE = 1024 * 1024


class Sample(NamedTuple):
    """Resident memory, MiB; what processes share is counted in each."""

    at_s: float
    turns: int
    worker: float
    speech: float
    language: float
    broker: float

    @property
    def whole(self) -> float:
        """All of it."""
        return self.worker + self.speech + self.language + self.broker


class Person:
    """Asks one question at a time, and listens."""

    def __init__(self, kafka: KafkaSettings, questions: Sequence[Spoken]) -> None:
        ids, topics = LockedIds(), Topics.of(kafka)
        asyncio.run(ids.start(subjects([topics.audio, topics.speech])))
        self._audio, self._asks = topics.audio, serde(ids, topics.audio.name, AudioChunk)
        self._hears = serde(ids, topics.speech.name, SpeechChunk)
        self._questions = cycle(questions)
        self._producer = Producer(
            {"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random", "linger.ms": 0, "log_level": 0}
        )
        self._consumer = Consumer(
            {"bootstrap.servers": kafka.bootstrap, "group.id": "person", "enable.auto.commit": False}
        )
        self._consumer.assign(
            [TopicPartition(topics.speech.name, number, 0) for number in range(topics.speech.partitions)]
        )

    def turn(self, number: int) -> float | None:
        """Ask, and listen to the end of the answer. Returns the seconds until its first audio; None when the end did not come."""
        now, question = datetime.now(UTC), next(self._questions)
        chunk = AudioChunk(
            origin=Origin(
                request_id=str(uuid4()),
                correlation_id=str(number),
                session_id=f"talk-{number // TURNS}",
                event_time=now,
                deadline=now + timedelta(seconds=ANSWERED_S),
            ),
            clip_id=f"clip-{number}",
            sequence=0,
            last=True,
            codec="pcm_s16le",
            sample_rate_hz=question.sample_rate_hz,
            content=question.pcm,
            speak=True,
        )
        self._producer.produce(self._audio.name, self._asks.encode(chunk), self._audio.key(chunk).encode())
        asked = time.monotonic()
        self._producer.flush(ANSWERED_S)
        return self._heard_to_the_end(chunk.origin.request_id, asked)

    def _heard_to_the_end(self, request_id: str, asked: float) -> float | None:
        first_s: float | None = None
        while time.monotonic() < asked + ANSWERED_S:
            message = self._consumer.poll(0.5)
            if message is None or message.error() is not None:
                continue
            said = self._hears.decode(message.value() or b"")
            if said.origin.request_id != request_id:
                continue
            first_s = first_s or time.monotonic() - asked
            if said.last:
                return first_s
        return None


async def spoken() -> Sequence[Spoken]:
    """Return questions of the library, spoken."""
    engine = EngineProcess(PIPER, (f"{PROGRAMS}.piper_program", str(installed_voice())), timeout_s=ANSWERED_S)
    try:
        return [await engine.speak(asked.question) for asked in labelled()[:QUESTIONS]]
    finally:
        await engine.close()


def family(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def resident_mb(pids: Sequence[int]) -> float:
    """Return the resident memory of processes."""
    found = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
        found += int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE
    return found


def sampled(child: Child, at_s: float, turns: int) -> Sample:
    """Measure now."""
    programs = [pid for pid in family(child.pid) if pid != child.pid]
    language = [pid for pid in programs if b"streams.clients.language" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    speech = [pid for pid in programs if pid not in language]
    broker = [pid for pid in family(os.getpid()) if pid not in {os.getpid(), child.pid, *programs}]
    parts = (resident_mb(pids) for pids in ([child.pid], speech, language, broker))
    return Sample(at_s, turns, *parts)


def talked(
    person: Person, child: Child, minutes: float, pause_s: float
) -> tuple[Sequence[Sample], Sequence[float | None]]:
    """Talk; return memory over time, and the seconds to the first audio of each answer."""
    samples: list[Sample] = []
    firsts_s: list[float | None] = []
    began = time.monotonic()
    for number in count():
        firsts_s.append(person.turn(number))
        passed_s = time.monotonic() - began
        if not samples or passed_s - samples[-1].at_s >= SAMPLE_EVERY_S:
            samples.append(sampled(child, passed_s, number + 1))
        if passed_s > minutes * 60:
            return samples, firsts_s
        time.sleep(pause_s)
    raise AssertionError  # never: it ends by the clock


def environment(kafka: KafkaSettings, folder: str) -> Mapping[str, str]:
    """Return the settings of the worker: what is installed, and nothing that costs money."""
    return {
        "FORGESTREAM_KAFKA": kafka.bootstrap,
        "FORGESTREAM_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "FORGESTREAM_EMBEDDED_DATA_DIR": folder,
        "FORGESTREAM_ROUTE_MODELS": MODELS.replace(" and ", ","),
        "FORGESTREAM_TELEMETRY_LOG_LEVEL": "warning",
    }


def page(samples: Sequence[Sample], firsts_s: Sequence[float | None]) -> str:
    """Return the written part of docs/voice.md."""
    heard_s = sorted(one for one in firsts_s if one is not None)
    later = [one for one in samples if one.at_s >= samples[-1].at_s * SETTLED]
    half = len(later) // 2
    early, late = (mean(one.whole for one in part) for part in (later[:half], later[half:]))
    rows = [samples[round(at * (len(samples) - 1) / ROWS)] for at in range(ROWS + 1)]
    lines = [
        (
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores: {samples[-1].turns} spoken questions in "
            f"{samples[-1].at_s / 60:.0f} minutes, "
            f"conversations of {TURNS}, models {MODELS}. Answers that never came: {len(firsts_s) - len(heard_s)}. "
            f"From the question to the first audio, whoever answered: half within {quantile(heard_s, 0.5):.2f} s, "
            f"19 of 20 within {quantile(heard_s, 0.95):.2f} s."
        ),
        "",
        "| minute | questions | worker, MiB | speech engines | language program | Kafka | whole |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {one.at_s / 60:.1f} | {one.turns} | {one.worker:,.0f} | {one.speech:,.0f} "
            f"| {one.language:,.0f} | {one.broker:,.0f} | {one.whole:,.0f} |"
            for one in rows
        ),
        "",
        (
            f"Most: {max(one.whole for one in samples):,.0f} MiB. After the first {SETTLED:.0%} of the time, the mean of the later half is "
            f"{late - early:+,.0f} MiB from that of the earlier."
        ),
    ]
    return "\n".join(lines)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that a share of them does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main() -> None:
    """Talk, print, and write unless told not to."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.conversation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds before the next question")
    parser.add_argument("--dry-run", action="store_true", help="print the table and write nothing")
    given = parser.parse_args()
    if given.minutes < FEWEST_MINUTES:
        parser.error(f"memory cannot be judged in less than {FEWEST_MINUTES:g} minute")
    questions = asyncio.run(spoken())
    with EmbeddedKafka(EmbeddedSettings()) as broker, tempfile.TemporaryDirectory() as folder:
        kafka = KafkaSettings(bootstrap=broker.bootstrap, topic_prefix="talk-")
        past, cluster = Past(kafka, 0, datetime.now(UTC)), Cluster(broker.bootstrap)
        asyncio.run(past.prepare())
        invalidations = past.topics.invalidations
        cluster.adopt([invalidations.name], invalidations.partitions)
        with Child(forgestream("worker"), Path(folder) / "worker.log", environment(kafka, folder)) as child:
            eventually(
                lambda: cluster.stored([invalidations.name]) >= len(past.library), within_s=120, what="the library"
            )
            samples, firsts_s = talked(Person(kafka, questions), child, given.minutes, given.pause)
            child.stop()
    shown = page(samples, firsts_s)
    print(shown)
    if not given.dry_run:
        written("voice.md", "make talk", shown)


if __name__ == "__main__":
    main()
