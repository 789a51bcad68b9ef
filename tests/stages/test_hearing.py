"""Clips, live streams and turns in memory: how much of them waits, and that nothing of them stays."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from agents.synthesize.floor import CONVERSATIONS, Floor
from agents.transcribe.clips import Clips
from agents.transcribe.live import MOST_HELD, LiveStreams
from schemas.records import AudioChunk, SpeechRequest
from streams.emit import Emit
from streams.errors import RequestRejected
from streams.settings import KafkaSettings, TranscribeSettings
from tests.fakes.app import FakeEmit, FakeTable
from tests.fakes.speech import SampleRecognizer, frames
from tests.given import an_origin
from tests.pipeline.voices import a_clip, a_stream
from topology.topics import Topics

SETTINGS = TranscribeSettings(clip_idle_s=0.05, max_clip_mb=0.01, in_flight_mb=1.0)
Handler = Callable[[AudioChunk, Emit], Coroutine[Any, Any, object]]


class Stage:
    """Begins the handlers of chunks side by side, in order."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self.sent: dict[str, list[Any]] = defaultdict(list)
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        return sum(not task.done() for task in self.tasks)

    async def take(self, chunks: Sequence[AudioChunk]) -> None:
        for chunk in chunks:
            self.tasks.append(asyncio.create_task(self._attend(chunk)))
            await asyncio.sleep(0)

    async def _attend(self, chunk: AudioChunk) -> None:
        emit, done = FakeEmit(self.sent), False
        try:
            await self._handle(chunk, emit)
            done = True
        except RequestRejected:
            done = True
        finally:
            emit.end(done=done)


def live_streams(recognizer: SampleRecognizer, settings: TranscribeSettings = SETTINGS) -> LiveStreams:
    return LiveStreams(
        recognizer,
        settings,
        on_speech=lambda *_: None,
        on_utterance=lambda *_: None,
        transcripts=Topics.of(KafkaSettings()).transcripts,
    )


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_stays_of_clips_however_they_end(seed: int) -> None:
    """Whole, torn, doubled, contradicting themselves, too large, more than there is room for; some of them cancelled."""
    chance = Random(seed)
    sent = [chunk for number in range(40) for chunk in a_clip(number, "x" * 100_000, chunks=9, session_id="talk")]
    sent += [chunk for number in range(40, 80) for chunk in a_clip(number, "x" * 9_000, session_id=f"talk-{number}")]
    sent += [replace(chunk, content=b"other") for chunk in chance.sample(sent, 20)]
    sent = [chunk for chunk in sent if chance.random() < 0.97]
    chance.shuffle(sent)
    clips = Clips(SETTINGS)
    stage = Stage(clips.content)

    await stage.take(sent)
    for task in chance.sample(stage.tasks, 10):
        task.cancel()
    await asyncio.wait(stage.tasks)

    assert (len(clips), clips.held_bytes) == (0, 0)


async def test_of_a_long_utterance_no_more_frames_wait_than_its_stream_may_hold() -> None:
    """Nine seconds without a pause, once with a model that does not answer, once with one that does."""
    recognizer = SampleRecognizer()
    recognizer.gate = asyncio.Event()
    live = live_streams(recognizer, replace(SETTINGS, clip_idle_s=5.0))
    stage = Stage(live.hear)
    *sent, last = a_stream(1, frames(range(1, 24)))

    await stage.take(sent)
    assert stage.waiting == MOST_HELD
    recognizer.gate.set()
    for _ in range(100):  # turns of the loop
        await asyncio.sleep(0)
    assert (stage.waiting, len(live)) == (1, 1)

    await stage.take([last])
    await asyncio.wait(stage.tasks)
    assert len(live) == 0


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_stays_of_live_streams_however_they_end(seed: int) -> None:
    """Ended, stopped, with frames lost and doubled, or when their partition moves to another worker."""
    chance = Random(seed)
    live = live_streams(SampleRecognizer())
    stage = Stage(live.hear)
    streams = [a_stream(number, frames([0, 1, 2, 0, 0, 3, 0]), last=chance.random() < 0.5) for number in range(6)]

    for position in range(len(streams[0])):
        for stream in streams:
            await stage.take([stream[position]] * chance.choice([0, 1, 1, 1, 1, 2]))
    for task in stage.tasks if seed % 2 else ():
        task.cancel()
    await asyncio.wait(stage.tasks)

    assert len(live) == 0


async def test_of_conversations_in_which_nobody_speaks_only_the_newest_are_remembered() -> None:
    turns: Any = FakeTable(str)
    floor = Floor(turns)
    speaking = FakeEmit({})
    assert await floor.taken(a_turn(0), speaking)

    for number in range(1, CONVERSATIONS + 100):
        emit = FakeEmit({})
        assert await floor.taken(a_turn(number), emit)
        emit.end()

    assert len(floor) == CONVERSATIONS
    assert floor.has(a_turn(0))
    speaking.end()


def a_turn(number: int) -> SpeechRequest:
    return SpeechRequest(origin=an_origin(f"request-{number}"), text="Hello.", turn=1)
