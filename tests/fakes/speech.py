"""Speech without models: what is spoken can be read off the samples."""

import asyncio
import itertools
from collections.abc import Sequence

import numpy as np

from schemas.records import Analysis, Origin, Word
from streams.errors import AudioInvalid, PipelineError
from streams.speech import RATE_HZ, Heard, Segment, Spoken

WORD_S = 0.4


def a_segment(
    text: str = "Who wrote Frankenstein?",
    *,
    start_s: float = 0.0,
    end_s: float = 2.0,
    tokens: int = 6,
    avg_logprob: float = -0.2,
    no_speech: float = 0.01,
    compression: float = 1.0,
    words: tuple[Word, ...] = (),
) -> Segment:
    return Segment(
        text=text,
        start_s=start_s,
        end_s=end_s,
        tokens=tokens,
        avg_logprob=avg_logprob,
        no_speech=no_speech,
        compression=compression,
        words=words,
    )


def a_hearing(*segments: Segment, speech: tuple[tuple[float, float], ...] = ((0.0, 2.0),)) -> Heard:
    return Heard(segments=segments, speech=speech, language="en", model="fake")


class PlainDecoder:
    """A `Decoder`: the file is the audio. Files that begin with `bad` are damaged."""

    async def decode(self, content: bytes, *, codec: str, sample_rate_hz: int) -> bytes:
        await asyncio.sleep(0)
        if content.startswith(b"bad"):
            raise AudioInvalid(["the file is damaged"])
        return content


class ReadingRecognizer:
    """A `Recognizer` for text as audio; it says nothing for blanks. The first calls fail as told."""

    def __init__(self, *errors: PipelineError) -> None:
        self._errors = list(errors)
        self.listened = 0

    async def listen(self, pcm: bytes, *, language: str | None = None) -> Heard:
        self.listened += 1
        for _ in range(sum(pcm) * 7 % 11 * 4):
            await asyncio.sleep(0)
        if self._errors:
            raise self._errors.pop(0)
        text = pcm.decode().strip()
        return a_hearing(a_segment(text)) if text else a_hearing(speech=())


class ScriptedRecognizer:
    """A `Recognizer` that hears what it is told; the last for ever."""

    def __init__(self, *replies: Heard) -> None:
        self._replies = list(replies)

    async def listen(self, pcm: bytes, *, language: str | None = None) -> Heard:
        await asyncio.sleep(0)
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


class SampleRecognizer:
    """A `Recognizer` for live speech: stretches of one value are words, `w<value>`; zero is silence. It waits at its gate."""

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None

    async def listen(self, pcm: bytes, *, language: str | None = None) -> Heard:
        await (self.gate.wait() if self.gate is not None else asyncio.sleep(0))
        samples = np.frombuffer(pcm, dtype="<i2")
        words, at = [], 0
        for value, run in itertools.groupby(samples.tolist()):
            length = len(list(run))
            if value:
                start_s, end_s = at / RATE_HZ, (at + length) / RATE_HZ
                words.append(Word(text=f"w{value}", start_s=start_s, end_s=end_s, probability=0.9))
            at += length
        if not words:
            return a_hearing(speech=())
        begun, over = words[0].start_s, words[-1].end_s
        text = " ".join(word.text for word in words)
        return a_hearing(a_segment(text, start_s=begun, end_s=over, words=tuple(words)), speech=((begun, over),))


class ScriptedEngine:
    """A `SpeechEngine` that says the text's bytes, or fails as told, as often as told."""

    def __init__(self, name: str = "first", *errors: PipelineError) -> None:
        self.name = name
        self.errors = list(errors)
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    async def speak(self, text: str, *, voice: str | None = None) -> Spoken:
        self.asked.append(text)
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return Spoken(pcm=text.encode(), sample_rate_hz=RATE_HZ)


class WordsAnalyst:
    """An `Analyst` that finds nothing."""

    async def analyse(self, origin: Origin, text: str, *, operations: Sequence[str] | None = None) -> Analysis:
        return Analysis(origin=origin, language="en", sentences=(text,), tokens=(), entities=(), model="words")


def frames(words: Sequence[int], *, frame_s: float = 0.1, word_s: float = WORD_S) -> Sequence[bytes]:
    """Return live frames in which every number is spoken for `word_s`; zero is silence."""
    per_word = round(word_s / frame_s)
    size = round(frame_s * RATE_HZ)
    return [np.full(size, word, dtype="<i2").tobytes() for word in words for _ in range(per_word)]
