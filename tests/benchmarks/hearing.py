"""`make hear`: how many spoken words are heard right, and how well a transcript's confidence says so.

`fit` writes the curve of agents/transcribe/curve.py from one half of the sentences; `measure` writes docs/voice.md from the
other half, one more voice and recordings of persons.
"""

import argparse
import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from agents.transcribe import rules
from streams.clients.speech.whisper import Whisper, english_model, named
from streams.settings import TranscribeSettings
from tests.benchmarks.hearing_curve import Bin, Heard, bins, error_rate, expected_error, fitted, plain, word_errors
from tests.benchmarks.hearing_plot import plot
from tests.benchmarks.hearing_speech import CLEAN, CONDITIONS, VOICES, Clip, recorded, spoken, to_say
from tests.benchmarks.pages import DOCS, written

SETTINGS = TranscribeSettings(threads=1, parallel=os.cpu_count() or 1)
MODEL = named(english_model(SETTINGS))
CURVE = Path(rules.__file__).with_name("curve.py")
CURVE_TEXT = '''"""The share of words that are right at a raw confidence, by model, with straight lines between. Written by `make hear`."""

from collections.abc import Mapping

CURVES: Mapping[str, tuple[tuple[float, float], ...]] = {{
    "{model}": (
        {points}
    ),
}}
'''
FIT, HELD = 0, 1  # halves of the library
SENTENCES, QUICK = 16, 2


async def clips(half: int, most: int) -> AsyncIterator[Clip]:
    """Yield the speech of one half; recordings of persons are only ever measured with."""
    voices = [voice for voice in VOICES if voice.fitted or half == HELD]
    async for clip in spoken(voices, to_say(half, most)):
        yield clip
    if half == HELD:
        for clip in recorded():
            yield clip


async def heard_of(half: int, most: int) -> Sequence[Heard]:
    """Hear every clip."""
    whisper = Whisper(SETTINGS)
    await whisper.start()

    async def hear(clip: Clip) -> Heard:
        told = rules.believed(await whisper.listen(clip.pcm))
        errors, words = word_errors(clip.said, told.text)
        sure = rules.confidence(told.segments) if plain(told.text) else None
        return Heard(clip.voice, clip.condition, errors, words, sure, told.discarded)

    try:
        async with asyncio.TaskGroup() as group:
            hearing = [group.create_task(hear(clip)) async for clip in clips(half, most)]
        return [one.result() for one in hearing]
    finally:
        await whisper.close()


def curve(heard: Sequence[Heard]) -> str:
    """Return agents/transcribe/curve.py."""
    points = "\n        ".join(f"({raw}, {right})," for raw, right in fitted(heard))
    return CURVE_TEXT.format(model=MODEL, points=points)


def page(heard: Sequence[Heard], most: int) -> str:
    """Return the written part of docs/voice.md."""
    about = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {MODEL} int8; {len(heard)} clips: {most} sentences in {len(VOICES)} "
        "voices, and a person reading. Noise is white; speeds keep the pitch. Words are compared without case and punctuation."
    )
    return "\n".join([about, "", *_errors(heard), "", *_reliability(heard)])


def _errors(heard: Sequence[Heard]) -> Sequence[str]:
    names = [f"{one.noise_db} dB" if one.noise_db is not None else f"{one.speed:g} x" for one in CONDITIONS]
    names[0] = "clean"
    voices = list(dict.fromkeys(one.voice for one in heard))
    lines = [f"| word error rate | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for voice in voices:
        rates = []
        for condition in CONDITIONS:
            found = [one for one in heard if (one.voice, one.condition) == (voice, condition)]
            rates.append(f"{100 * error_rate(found):.0f} %" if found else "")
        lines.append(f"| {voice} | {' | '.join(rates)} |")
    return lines


def _reliability(heard: Sequence[Heard]) -> Sequence[str]:
    lines = ["| confidence | words right | words |", "|---:|---:|---:|"]
    lines += [f"| {one.confidence:.2f} | {one.right:.2f} | {one.words:,} |" for one in bins(heard, _calibrated)]
    lines += ["", "| expected calibration error | clips | raw | calibrated |", "|---|---:|---:|---:|"]
    fitted_voices = {voice.name for voice in VOICES if voice.fitted}
    groups: dict[str, Callable[[Heard], bool]] = {
        "all": lambda _: True,
        "voices of the fit, other sentences": lambda one: one.voice in fitted_voices,
        "a voice that was not in the fit": lambda one: one.voice in {voice.name for voice in VOICES} - fitted_voices,
        "recordings of a person": lambda one: one.voice not in {voice.name for voice in VOICES},
    }
    for name, belongs in groups.items():
        found = [one for one in heard if belongs(one) and one.confidence is not None]
        before, after = (expected_error(bins(found, sure)) for sure in (_raw, _calibrated))
        lines.append(f"| {name} | {len(found)} | {before:.3f} | {after:.3f} |")
    return [*lines, "", _unheard(heard)]


def _unheard(heard: Sequence[Heard]) -> str:
    silent = sum(one.confidence is None for one in heard)
    wronged = [one for one in heard if one.discarded]
    clean = sum(one.condition == CLEAN for one in wronged)
    reasons = Counter(reason for one in wronged for reason in one.discarded)
    why = ", ".join(f"{reason} {times}" for reason, times in reasons.most_common()) or "none"
    return (
        f"Nothing was heard in {silent} of {len(heard)} clips; they end with `nothing_heard` and have no confidence. "
        f"Words were taken for invention in {len(wronged)} ({why}), {clean} of them clean."
    )


def _raw(confidence: float) -> float:
    return confidence


def _calibrated(confidence: float) -> float:
    return rules.calibrated(confidence, MODEL)


def main() -> None:
    """Fit or measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hearing", description=__doc__)
    parser.add_argument("what", choices=("fit", "measure"))
    parser.add_argument("--quick", action="store_true", help="two sentences; prints and writes nothing")
    given = parser.parse_args()
    most = QUICK if given.quick else SENTENCES
    heard = asyncio.run(heard_of(FIT if given.what == "fit" else HELD, most))
    shown = curve(heard) if given.what == "fit" else page(heard, most)
    print(shown)
    if given.quick:
        return
    if given.what == "fit":
        CURVE.write_text(shown, encoding="utf-8")
        return
    written("voice.md", "make hear", shown)
    plotted: Sequence[tuple[str, Sequence[Bin]]] = (
        ("raw", bins(heard, _raw)),
        ("calibrated", bins(heard, _calibrated)),
    )
    (DOCS / "voice.svg").write_text(plot(plotted), encoding="utf-8")


if __name__ == "__main__":
    main()
