"""Speech of which the words are known: sentences that engines speak, slower, faster and noisier; recordings of persons.

All of it is made in memory. Sentences come from the demo's library; those of one half of its passages are in no other half.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

import av
import numpy as np

from streams.clients.audio.decoder import decoded
from streams.clients.speech.engine_process import EngineProcess
from streams.clients.speech.registry import ESPEAK, PIPER, PROGRAMS, installed_voice
from streams.speech import RATE_HZ, SAMPLE_BYTES
from streams.words import sentences
from tests.benchmarks.peers import RECORDINGS, folder_of, python_of
from topology.demo.library import documents
from topology.embedded.cache import cache_directory

LONGEST_S = 600.0
SPEAKABLE = re.compile(r"[A-Za-z ,'.]+")
FEWEST_WORDS, MOST_WORDS = 7, 16
ENGINE_TIMEOUT_S = 60.0


class Condition(NamedTuple):
    """What is done to clean speech: its tempo, then white noise so far below the speech."""

    speed: float = 1.0
    noise_db: int | None = None


CLEAN = Condition()
CONDITIONS = (
    *(Condition(noise_db=noise) for noise in (None, 20, 10, 5, 0)),
    *(Condition(speed=speed) for speed in (0.75, 1.25, 1.5)),
)


class Voice(NamedTuple):
    """Who speaks. A voice that is not `fitted` is only ever measured with."""

    name: str
    engine: str
    asked: str | None
    fitted: bool = True


VOICES = (
    Voice("piper joe", PIPER, None),
    Voice("espeak en-us", ESPEAK, "en-us"),
    Voice("espeak en-gb-scotland", ESPEAK, "en-gb-scotland"),
    Voice("espeak en-us+f3", ESPEAK, "en-us+f3", fitted=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Some speech and its words."""

    voice: str
    said: str
    pcm: bytes
    condition: Condition = CLEAN


class Part(NamedTuple):
    """Seconds of a file of the package of recordings, and what is read there."""

    file: str
    begins_s: float
    ends_s: float
    said: str


PERSONS = (
    Part("two_cities.wav", 0.8, 4.9, "It was the best of times, it was the worst of times,"),
    Part("two_cities.wav", 4.9, 8.6, "it was the age of wisdom, it was the age of foolishness,"),
    Part("two_cities.wav", 8.6, 13.2, "it was the epoch of belief, it was the epoch of incredulity,"),
    Part("two_cities.wav", 13.2, 17.1, "it was the season of Light, it was the season of Darkness,"),
    Part("two_cities.wav", 17.1, 20.85, "it was the spring of hope, it was the winter of despair,"),
    Part("two_cities.wav", 20.85, 24.35, "we had everything before us, we had nothing before us,"),
    Part("two_cities.wav", 24.35, 28.7, "we were all going direct to Heaven, we were all going direct the other way"),
    Part(
        "two_cities.wav",
        28.7,
        44.0,
        "in short, the period was so far like the present period, that some of its noisiest authorities insisted on its "
        "being received, for good or for evil, in the superlative degree of comparison only.",
    ),
    Part("beckett.wav", 0.0, 9.9, "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."),
)


def to_say(half: int, most: int) -> Sequence[str]:
    """Return one sentence of every second passage of the library, without numbers: a number is written in many ways."""
    passages = documents(datetime.now(UTC))[half::2]
    speakable = (
        [one.strip() for one in sentences(passage.text) if _speakable(one.strip())][:1] for passage in passages
    )
    return [sentence for one in speakable for sentence in one][:most]


async def spoken(voices: Sequence[Voice], said: Sequence[str]) -> AsyncIterator[Clip]:
    """Yield every sentence in every voice and condition."""
    programs = {PIPER: ("piper_program", str(installed_voice())), ESPEAK: ("espeak_program",)}
    async with AsyncExitStack() as stack:
        engines = {}
        for name, (module, *arguments) in programs.items():
            engine = EngineProcess(name, (f"{PROGRAMS}.{module}", *arguments), timeout_s=ENGINE_TIMEOUT_S)
            stack.push_async_callback(engine.close)
            engines[name] = engine
        for voice in voices:
            for sentence in said:
                one = await engines[voice.engine].speak(sentence, voice=voice.asked)
                pcm = decoded(one.pcm, "pcm_s16le", one.sample_rate_hz, LONGEST_S)
                clip = Clip(voice=voice.name, said=sentence, pcm=pcm)
                for condition in CONDITIONS:
                    yield await asyncio.to_thread(under, clip, condition)


def recorded() -> Iterator[Clip]:
    """Yield the recordings of persons, clean and noisy; the package that has them is installed on first use."""
    folder = folder_of(python_of(RECORDINGS, cache_directory("", os.environ)), "moonshine_voice") / "assets"
    files = {
        name: decoded((folder / name).read_bytes(), "wav", 0, LONGEST_S) for name in {part.file for part in PERSONS}
    }
    for part in PERSONS:
        begin, end = (round(at * RATE_HZ) * SAMPLE_BYTES for at in (part.begins_s, part.ends_s))
        clip = Clip(voice="a person", said=part.said, pcm=files[part.file][begin:end])
        for condition in CONDITIONS:
            if condition.speed == 1.0:
                yield under(clip, condition)


def under(clip: Clip, condition: Condition) -> Clip:
    """Return the clip as it is under a condition."""
    samples = np.frombuffer(clip.pcm, dtype="<i2")
    samples = samples if condition.speed == 1.0 else _at_tempo(samples, condition.speed)
    samples = samples if condition.noise_db is None else _in_noise(samples, condition.noise_db)
    return replace(clip, condition=condition, pcm=samples.astype("<i2").tobytes())


def _at_tempo(samples: np.ndarray, speed: float) -> np.ndarray:
    """Return speech faster or slower at the same pitch."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=RATE_HZ, format="s16", layout="mono")
    graph.link_nodes(source, graph.add("atempo", str(speed)), graph.add("abuffersink")).configure()
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
    frame.sample_rate = RATE_HZ
    graph.push(frame)
    graph.push(None)
    parts: list[np.ndarray] = []
    while True:
        try:
            part = graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return np.concatenate(parts)
        parts.append(part.to_ndarray()[0])


def _in_noise(samples: np.ndarray, noise_db: int) -> np.ndarray:
    """Return speech with white noise, always the same."""
    loud = samples.astype(np.float64)
    level = np.sqrt(np.mean(loud**2)) / 10 ** (noise_db / 20)
    return np.clip(loud + np.random.default_rng(1).normal(0, level, len(loud)), -32_768, 32_767)


def _speakable(sentence: str) -> bool:
    return SPEAKABLE.fullmatch(sentence) is not None and FEWEST_WORDS <= len(sentence.split()) <= MOST_WORDS
