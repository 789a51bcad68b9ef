"""Speech to text, text to speech and language analysis with the installed models.

`python -m tests.benchmarks.voice [--quick]` prints tables in Markdown: times (median of several), the real-time factor of
streams side by side, the word error rate of spoken sentences heard again (by voice, noise and speed), how right the
confidence is, and documents analysed a second. Beside each time of the clock stands CPU time, which a busy machine changes little.
"""

import argparse
import asyncio
import itertools
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from statistics import mean, median
from typing import NamedTuple

import numpy as np

from agents.transcribe import rules
from streams.clients.audio.decoder import decoded
from streams.clients.language.registry import analyst_of
from streams.clients.speech.engine_process import EngineProcess
from streams.clients.speech.registry import ESPEAK, PIPER, PROGRAMS, installed_voice
from streams.clients.speech.whisper import Whisper
from streams.settings import AnalyseSettings, TranscribeSettings
from streams.speech import RATE_HZ, SpeechEngine, seconds
from streams.words import words
from tests.given import an_origin

SENTENCES = (
    "Who wrote Frankenstein, and when did she begin to write the book?",
    "The white whale took the leg of the captain many years ago.",
    "An octopus has three hearts and blue blood in its body.",
    "The price of gold rose after the central bank spoke on Tuesday.",
    "Please tell me how long it takes to double my savings.",
    "We always see the same side of the Moon from the Earth.",
    "The old library stands behind the river near the market.",
    "She opened the letter slowly and read it by the window.",
    "Trading stops for fifteen minutes when the index falls far enough.",
    "The word vaccine comes from the Latin name of the cow.",
)
NOISE_DB = (None, 20, 10, 5)  # signal to noise
SPEEDS = (1.0, 1.25)
BINS = 5
FIVE_S = 5.0


class Heard(NamedTuple):
    """One sentence, heard again."""

    voice: str
    noise: int | None
    speed: float
    errors: int
    words: int
    confidence: float


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """Return the edit distance in words, and the words said."""
    reference, hypothesis = words(said), words(heard)
    row = list(range(len(hypothesis) + 1))
    for at, word in enumerate(reference, 1):
        before, row[0] = row[0], at
        for position, other in enumerate(hypothesis, 1):
            before, row[position] = (
                row[position],
                min(row[position] + 1, row[position - 1] + 1, before + (word != other)),
            )
    return row[-1], len(reference)


def changed(pcm: bytes, noise: int | None, speed: float) -> bytes:
    """Return speech faster (and higher) and with white noise."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    at = np.arange(0, len(samples) - 1, speed)
    samples = np.interp(at, np.arange(len(samples)), samples)
    if noise is not None:
        level = np.sqrt(np.mean(samples**2)) / 10 ** (noise / 20)
        samples = samples + np.random.default_rng(1).normal(0, level, len(samples))
    return bytes(np.clip(samples, -32768, 32767).astype("<i2").tobytes())


async def timed(call: Callable[[], Awaitable[object]], times: int) -> tuple[float, float]:
    """Return the median milliseconds of a call, and the mean of the CPU time of this process."""
    took = []
    cpu = time.process_time()
    for _ in range(times):
        began = time.perf_counter()
        await call()
        took.append((time.perf_counter() - began) * 1000)
    return median(took), (time.process_time() - cpu) * 1000 / times


async def speech_to_text(whisper: Whisper, clip: bytes, times: int) -> None:
    """Print the time of five seconds, and streams side by side."""
    wall, cpu = await timed(lambda: whisper.listen(clip), times)
    print(f"| {seconds(clip):.1f} s of speech to text, p50 | {wall:.0f} ms | {cpu:.0f} ms |")
    for streams in (1, 2, 4):
        began = time.perf_counter()
        await asyncio.gather(*(whisper.listen(clip) for _ in range(streams * times)))
        took = time.perf_counter() - began
        print(f"| real-time factor, {streams} at a time | {took / (streams * times * seconds(clip)):.3f} | |")


async def heard_again(whisper: Whisper, voices: dict[str, tuple[SpeechEngine, str | None]], quick: bool) -> list[Heard]:
    """Speak every sentence with every voice, change it, and hear it again."""
    found = []
    for voice, (engine, name) in voices.items():
        for sentence in SENTENCES[:3] if quick else SENTENCES:
            spoken = await engine.speak(sentence, voice=name)
            pcm = decoded(spoken.pcm, "pcm_s16le", spoken.sample_rate_hz, 60.0)
            for noise in NOISE_DB:
                for speed in SPEEDS:
                    heard = await whisper.listen(changed(pcm, noise, speed))
                    told = rules.believed(heard)
                    errors, said = word_errors(sentence, told.text)
                    found.append(Heard(voice, noise, speed, errors, said, rules.confidence(told.segments)))
    return found


def rate(found: Sequence[Heard]) -> float:
    """Return the word error rate."""
    return sum(one.errors for one in found) / sum(one.words for one in found)


def reliability(found: Sequence[Heard]) -> None:
    """Print how many words were right at each confidence, and the expected calibration error before and after."""
    ordered = sorted(found, key=lambda one: one.confidence)
    right = [max(0.0, 1 - one.errors / one.words) for one in ordered]
    print("\n| raw confidence | sentences | words right | calibrated |\n|---|---|---|---|")
    raw_error = error = 0.0
    for part in np.array_split(np.arange(len(ordered)), BINS):
        sure = mean(ordered[at].confidence for at in part)
        calibrated = mean(rules.calibrated(ordered[at].confidence) for at in part)
        share = mean(right[at] for at in part)
        raw_error += abs(sure - share) * len(part) / len(ordered)
        error += abs(calibrated - share) * len(part) / len(ordered)
        print(f"| {sure:.2f} | {len(part)} | {share:.2f} | {calibrated:.2f} |")
    print(f"\nExpected calibration error: {raw_error:.3f} raw, {error:.3f} calibrated.")


async def main(arguments: Sequence[str]) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.voice", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sentences and repetitions")
    quick = parser.parse_args(arguments).quick
    times = 3 if quick else 10
    piper = EngineProcess(PIPER, (f"{PROGRAMS}.piper_program", str(installed_voice())), timeout_s=60.0)
    espeak = EngineProcess(ESPEAK, (f"{PROGRAMS}.espeak_program",), timeout_s=60.0)
    whisper, analyst = Whisper(TranscribeSettings()), analyst_of(AnalyseSettings(cache_size=0))
    await asyncio.gather(piper.start(), espeak.start(), whisper.start(), analyst.start())
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}, {os.cpu_count()} cores, {platform.platform()}, load {os.getloadavg()[0]:.1f}"
    )
    print("\n| what | clock | CPU |\n|---|---|---|")
    spoken = await piper.speak(" ".join(SENTENCES[:2]))
    clip = decoded(spoken.pcm, "pcm_s16le", spoken.sample_rate_hz, 60.0)[: int(FIVE_S * RATE_HZ) * 2]
    await speech_to_text(whisper, clip, times)
    for engine in (piper, espeak):
        wall, _ = await timed(lambda engine=engine: engine.speak("Mary Shelley wrote Frankenstein."), times)  # type: ignore[misc]
        print(f"| first audio, {engine.name}, a sentence of four words, p50 | {wall:.0f} ms | |")
    documents = (f"Document {number}. {' '.join(SENTENCES)}" for number in itertools.count())  # none of them twice
    wall, cpu = await timed(lambda: analyst.analyse(an_origin(), next(documents)), times)
    print(f"| documents of {len(SENTENCES)} sentences analysed a second | {1000 / wall:.0f} | {cpu:.0f} ms each |")
    voices: dict[str, tuple[SpeechEngine, str | None]] = {
        "piper joe": (piper, None), "espeak en-us": (espeak, "en-us"), "espeak en-gb": (espeak, "en-gb-scotland"),
    }  # fmt: skip
    found = await heard_again(whisper, voices, quick)
    print("\n| word error rate | clean | 20 dB | 10 dB | 5 dB | faster by a quarter |\n|---|---|---|---|---|---|")
    for voice in voices:
        mine = [one for one in found if one.voice == voice]
        rates = [rate([one for one in mine if one.noise == noise and one.speed == 1.0]) for noise in NOISE_DB]
        rates.append(rate([one for one in mine if one.noise is None and one.speed != 1.0]))
        print(f"| {voice} | {' | '.join(f'{100 * value:.0f} %' for value in rates)} |")
    reliability(found)
    await asyncio.gather(piper.close(), espeak.close(), whisper.close(), analyst.close())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
