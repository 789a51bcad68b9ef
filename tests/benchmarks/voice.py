"""Speech to text, text to speech and language analysis with the installed models, as scenarios like the others."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from statistics import median

from streams.clients.audio.decoder import decoded
from streams.clients.language.registry import analyst_of
from streams.clients.speech.registry import ESPEAK, PIPER, engines_of
from streams.clients.speech.whisper import Whisper
from streams.settings import AnalyseSettings, SynthesizeSettings, TranscribeSettings
from streams.speech import RATE_HZ, SAMPLE_BYTES
from tests.benchmarks.outcome import OURS, Run
from tests.benchmarks.plan import Plan
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
FIRST_SENTENCE = "Mary Shelley wrote Frankenstein."
UTTERANCE_S = 5.0
TIMES = 20
STREAMS = {"1 stream": 1, "2 streams": 2, "4 streams": 4}
UNREMEMBERED = SynthesizeSettings(engines=f"{PIPER},{ESPEAK}", timeout_s=60.0, cache_mb=0.0)


def plans(*, divisor: int) -> Iterator[Plan]:
    """Yield the scenarios."""
    times = max(3, TIMES // divisor)
    yield Plan(
        name="speech",
        title=f"{UTTERANCE_S:g} s of speech to text, word times included",
        target="p50 <= 300 ms with tiny.en int8",
        workers=(OURS,),
        run=lambda worker: asyncio.run(_speech(worker, times)),
        less_is_better=True,
    )
    yield Plan(
        name="speech-streams",
        title="Speakers at the same time, each with one utterance after the other",
        target="none; below 1 the recognition keeps up with them",
        workers=tuple(STREAMS),
        run=lambda worker: asyncio.run(_streams(worker, times // 2)),
        less_is_better=True,
        note="Real-time factor: time until all is understood, by the time one of them speaks.",
    )
    yield Plan(
        name="first-audio",
        title="The first sentence of an answer, four words, to audio",
        target="<= 100 ms",
        workers=(PIPER, ESPEAK),
        run=lambda worker: asyncio.run(_first_audio(worker, times)),
        less_is_better=True,
    )
    yield Plan(
        name="analysis",
        title=f"Documents of {len(SENTENCES)} sentences analysed: language, sentences, tokens, lemmas, names",
        target="none",
        workers=(OURS,),
        run=lambda worker: asyncio.run(_analysis(worker, times * 5)),
    )


async def _timed(call: Callable[[], Awaitable[object]], times: int) -> Sequence[float]:
    """Return the milliseconds of each call; one before them does not count."""
    await call()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await call()
        took.append((time.perf_counter() - began) * 1000)
    return took


async def _utterance() -> bytes:
    """Return five seconds of speech."""
    engine = next(iter(engines_of(UNREMEMBERED)))
    try:
        spoken = await engine.speak(" ".join(SENTENCES[:2]))
    finally:
        await engine.close()
    return decoded(spoken.pcm, "pcm_s16le", spoken.sample_rate_hz, 60.0)[: int(UTTERANCE_S * RATE_HZ) * SAMPLE_BYTES]


async def _speech(worker: str, times: int) -> Run:
    clip, whisper = await _utterance(), Whisper(TranscribeSettings())
    await whisper.start()
    cpu = time.process_time()
    took = await _timed(lambda: whisper.listen(clip), times)
    cpu_ms = (time.process_time() - cpu) / (times + 1) * 1000
    await whisper.close()
    return Run(
        worker=worker,
        records=times,
        figures={"p50 ms": median(took), "longest ms": max(took), "CPU ms": cpu_ms},
    )


async def _streams(worker: str, times: int) -> Run:
    clip, whisper = await _utterance(), Whisper(TranscribeSettings())
    await whisper.start()

    async def speaker() -> None:
        for _ in range(times):
            await whisper.listen(clip)

    began = time.perf_counter()
    await asyncio.gather(*(speaker() for _ in range(STREAMS[worker])))
    took_s = time.perf_counter() - began
    await whisper.close()
    return Run(
        worker=worker,
        records=STREAMS[worker] * times,
        figures={"real-time factor": took_s / (times * UTTERANCE_S)},
    )


async def _first_audio(worker: str, times: int) -> Run:
    (engine,) = [engine for engine in engines_of(UNREMEMBERED) if engine.name == worker]
    await engine.start()
    took = await _timed(lambda: engine.speak(FIRST_SENTENCE), times)
    await engine.close()
    return Run(worker=worker, records=times, figures={"p50 ms": median(took), "longest ms": max(took)})


async def _analysis(worker: str, times: int) -> Run:
    analyst = analyst_of(AnalyseSettings(cache_size=0))
    await analyst.start()
    documents = (f"Document {number}. {' '.join(SENTENCES)}" for number in itertools.count())  # none of them twice
    took = await _timed(lambda: analyst.analyse(an_origin(), next(documents)), times)
    await analyst.close()
    return Run(worker=worker, records=times, figures={"documents/s": 1000 * times / sum(took), "p50 ms": median(took)})
