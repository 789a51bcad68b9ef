"""Live speech that goes wrong: doubtful, taken back, dropped, cut off, too much of it."""

import asyncio
from dataclasses import replace

import pytest

from agents.transcribe.live import MOST_STREAMS
from schemas.records import Result, Status, Transcript, Word
from streams.clients.models.echo import Echo
from streams.settings import TranscribeSettings
from streams.speech import Heard, Recognizer
from tests.clock import FixedClock
from tests.fakes.speech import SampleRecognizer, ScriptedRecognizer, a_hearing, a_segment, frames
from tests.pipeline.voices import a_stream
from tests.pipeline.world import SETTINGS, outside
from topology.memory import MemoryPipeline
from topology.units import Unit

LIVE = TranscribeSettings(live_step_s=0.3, live_buffer_s=2.0, clip_idle_s=0.1)


def listening(
    clock: FixedClock, recognizer: Recognizer, settings: TranscribeSettings = LIVE, *, partitions: int = 1
) -> MemoryPipeline:
    kafka = replace(SETTINGS.kafka, partitions=partitions)
    ports = outside(Echo(), clock=clock, recognizer=recognizer)
    return MemoryPipeline(replace(SETTINGS, kafka=kafka, transcribe=settings), ports, clock=clock, units=(Unit.VOICE,))


def ends(pipeline: MemoryPipeline) -> list[tuple[str, Status, str]]:
    results: list[Result] = pipeline.records(pipeline.topics.results)
    return [(ended.origin.request_id, ended.status, ended.errors[0].error_code) for ended in results]


def finals(pipeline: MemoryPipeline) -> list[Transcript]:
    return [said for said in pipeline.records(pipeline.topics.transcripts) if said.final]


async def test_every_doubtful_utterance_is_refused_with_a_result_of_its_own(clock: FixedClock) -> None:
    settings = replace(LIVE, refuse_below=0.95, live_buffer_s=10.0)
    async with listening(clock, SampleRecognizer(), settings) as pipeline:
        for frame in a_stream(1, frames([1, 2, 0, 0, 0, 3, 0, 0])):
            await pipeline.put(pipeline.topics.audio, frame)
        await pipeline.settle()

        said = finals(pipeline)
        assert [transcript.text for transcript in said] == ["w1 w2", "w3"]
        requests = [transcript.origin.request_id for transcript in said]
        assert ends(pipeline) == [(request, Status.REJECTED, "transcript_doubtful") for request in requests]
        assert pipeline.records(pipeline.topics.texts) == []
        assert pipeline.dead_letters == []


@pytest.mark.parametrize(
    ("second", "discarded"),
    [
        (a_hearing(a_segment("Thank you.", no_speech=0.9, avg_logprob=-1.5)), ("no_speech",)),
        (a_hearing(speech=()), ()),
    ],
    ids=["an invention", "no speech"],
)
async def test_words_that_are_taken_back_end_as_nothing_heard(
    clock: FixedClock, second: Heard, discarded: tuple[str, ...]
) -> None:
    words = (Word(text="Thank", start_s=0.0, end_s=0.2, probability=0.9),)
    recognizer = ScriptedRecognizer(a_hearing(a_segment("Thank", words=words), speech=((0.0, 0.3),)), second)
    async with listening(clock, recognizer) as pipeline:
        for frame in a_stream(1, frames([1, 1, 1, 1])):
            await pipeline.put(pipeline.topics.audio, frame)
        await pipeline.settle()

        partial, final = pipeline.records(pipeline.topics.transcripts)
        assert (partial.text, partial.final) == ("Thank", False)
        assert (final.text, final.final, final.discarded) == ("", True, discarded)
        assert ends(pipeline) == [(final.origin.request_id, Status.REJECTED, "nothing_heard")]


async def test_speech_faster_than_the_model_is_dropped_and_the_transcript_says_how_much(clock: FixedClock) -> None:
    recognizer = SampleRecognizer()
    recognizer.gate = asyncio.Event()
    async with listening(clock, recognizer) as pipeline:
        for frame in a_stream(1, frames([1, 2, 3, 4, 5, 6, 7])):  # 2.8 s, and room for 2
            await pipeline.put(pipeline.topics.audio, frame)
        await pipeline.settle(28)
        recognizer.gate.set()
        await pipeline.settle()

        assert [(said.text, said.dropped_s) for said in finals(pipeline)] == [("w1", 1.0), ("w3 w4 w5 w6 w7", 1.0)]


async def test_frames_that_never_come_are_counted_and_a_stream_that_stops_is_over(clock: FixedClock) -> None:
    sent = a_stream(1, frames([1, 2, 3]), last=False)
    async with listening(clock, SampleRecognizer()) as pipeline:
        for frame in [*sent[:4], *sent[9:]]:
            await pipeline.put(pipeline.topics.audio, frame)
        await pipeline.settle()

        (said,) = finals(pipeline)
        assert (said.dropped_s, said.text) == (0.5, "w1 w3")
        assert 7 in pipeline.committed[Unit.VOICE].values()


async def test_one_stream_more_than_there_is_room_for_is_refused_once_and_the_others_are_heard(
    clock: FixedClock,
) -> None:
    """All of them at once in one partition, one word each."""
    streams = [a_stream(number, frames([1, 1])) for number in range(MOST_STREAMS + 1)]
    async with listening(clock, SampleRecognizer(), replace(LIVE, clip_idle_s=5.0)) as pipeline:
        for position in range(len(streams[0])):
            for stream in streams:
                await pipeline.put(pipeline.topics.audio, stream[position])
        await pipeline.settle()

        assert ends(pipeline) == [(f"request-{MOST_STREAMS}", Status.REJECTED, "audio_overload")]
        assert len(finals(pipeline)) == MOST_STREAMS
