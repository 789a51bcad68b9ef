"""Clips at the bounds: as large as they may be, and more at once than there is room for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from schemas.records import AudioChunk, Status
from streams.clients.models.echo import Echo
from streams.settings import Settings, TranscribeSettings
from tests.clock import FixedClock
from tests.fakes.speech import ReadingRecognizer
from tests.pipeline.voices import a_clip
from tests.pipeline.world import SETTINGS, outside
from topology.memory import MemoryPipeline
from topology.units import Unit

MIB = 1024 * 1024
FIVE_SECONDS = 160_000  # bytes
ROOM = replace(
    SETTINGS,
    kafka=replace(SETTINGS.kafka, partitions=1),
    transcribe=TranscribeSettings(max_clip_mb=1.0, in_flight_mb=4.0),
)


def listening(clock: FixedClock, settings: Settings) -> MemoryPipeline:
    ports = outside(Echo(), clock=clock, recognizer=ReadingRecognizer())
    return MemoryPipeline(settings, ports, clock=clock, units=(Unit.VOICE,))


def hundred() -> list[list[AudioChunk]]:
    """Clips of five seconds, 16 MB together; the words are at the beginning and the rest of them is blank."""
    texts = [f"Question {number}?".ljust(FIVE_SECONDS) for number in range(100)]
    return [a_clip(number, text, chunks=5, intent="transcript") for number, text in enumerate(texts)]


async def heard(pipeline: MemoryPipeline, clips: Sequence[Sequence[AudioChunk]]) -> dict[str, str]:
    """Send the chunks as they stand; return what each request ended with, in words or a code."""
    for clip in clips:
        for chunk in clip:
            await pipeline.put(pipeline.topics.audio, chunk)
    before = len(pipeline.records(pipeline.topics.results))
    await pipeline.settle()
    ended = pipeline.records(pipeline.topics.results)[before:]
    assert len({result.origin.request_id for result in ended}) == len(ended)
    assert pipeline.dead_letters == []
    return {
        result.origin.request_id: result.text if result.status is Status.OK else result.errors[0].error_code
        for result in ended
    }


async def test_of_more_clips_at_once_than_there_is_room_for_the_newest_are_refused_and_no_other(
    clock: FixedClock,
) -> None:
    """A hundred clips chunk by chunk in turns, four times what there is room for; what was refused is heard when sent again."""
    clips = hundred()
    async with listening(clock, ROOM) as pipeline:
        ended = await heard(pipeline, list(zip(*clips, strict=True)))

        kinds = Counter(text if text == "audio_overload" else "heard" for text in ended.values())
        assert kinds.total() == 100
        assert kinds["heard"] >= 20
        understood = [ended[f"request-{number}"] for number in range(kinds["heard"])]
        assert understood == [f"Question {number}?" for number in range(kinds["heard"])]
        again = await heard(pipeline, [[replace(chunk, clip_id="again") for chunk in clips[99]]])
        assert again == {"request-99": "Question 99?"}
        assert pipeline.committed[Unit.VOICE].popitem()[1] == 505


async def test_of_clips_one_after_the_other_none_is_refused_however_many_wait(clock: FixedClock) -> None:
    async with listening(clock, ROOM) as pipeline:
        ended = await heard(pipeline, hundred())

        assert ended == {f"request-{number}": f"Question {number}?" for number in range(100)}


async def test_a_clip_may_be_sixteen_mebibytes_large_and_no_byte_more(clock: FixedClock) -> None:
    """By the settings as they are."""
    settings = replace(ROOM, transcribe=TranscribeSettings())
    clips = [a_clip(number, "Hello.".ljust(16 * MIB + number), chunks=33, intent="transcript") for number in range(2)]
    async with listening(clock, settings) as pipeline:
        ended = await heard(pipeline, clips)

        assert ended == {"request-0": "Hello.", "request-1": "audio_invalid"}
