"""Speech engines as programs: what they say, how they fail, and that they come back."""

import asyncio
import contextlib
import importlib.util
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.clients.speech.engine_process import EngineProcess
from streams.clients.speech.phrases import Remembered
from streams.clients.speech.registry import engines_of
from streams.errors import ProviderRefused, SettingsInvalid, SpeechUnavailable
from streams.settings import SynthesizeSettings

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MOODY = ("tests.contracts.speech.moody_program",)


@pytest.fixture
async def engine() -> AsyncIterator[EngineProcess]:
    engine = EngineProcess("moody", MOODY, timeout_s=20.0)
    await engine.start()
    yield engine
    await engine.close()


async def test_sentences_are_spoken_one_after_the_other(engine: EngineProcess) -> None:
    spoken = await asyncio.gather(*(engine.speak(f"Sentence {number}.") for number in range(20)))

    assert [one.pcm for one in spoken] == [f"Sentence {number}.".encode() for number in range(20)]


@pytest.mark.parametrize("text", ["", "two\nlines", "\0", "\ud800", "😀 مرحبا \u202e", "noise"])
async def test_any_text_reaches_the_engine(engine: EngineProcess, text: str) -> None:
    if text == "\ud800":  # has no bytes: the engine's own problem
        with pytest.raises((ProviderRefused, SpeechUnavailable)):
            await engine.speak(text)
    else:
        assert (await engine.speak(text)).pcm == text.encode()


async def test_an_engine_that_dies_is_unavailable_and_then_started_anew(engine: EngineProcess) -> None:
    with pytest.raises(SpeechUnavailable, match="moody has ended"):
        await engine.speak("die")

    assert (await engine.speak("Again.")).pcm == b"Again."


async def test_an_engine_that_hangs_is_ended() -> None:
    engine = EngineProcess("moody", MOODY, timeout_s=0.3)
    await engine.start()

    with pytest.raises(SpeechUnavailable, match=r"did not answer within 0\.3 s"):
        await engine.speak("hang")
    await engine.close()


async def test_nobody_waits_longer_behind_a_sentence_that_hangs_and_the_engine_comes_back() -> None:
    """Also when its start takes longer than a sentence may."""
    engine = EngineProcess("moody", MOODY, timeout_s=0.3)
    await engine.start()
    texts = ("hang", "One.", "Two.", "Three.")

    heard = await asyncio.gather(*(engine.speak(text) for text in texts), return_exceptions=True)

    assert {type(one) for one in heard} == {SpeechUnavailable}
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(SpeechUnavailable):
                assert (await engine.speak("Again.")).pcm == b"Again."
                break
    await engine.close()


async def test_nobody_waits_longer_for_an_engine_that_hangs_while_it_starts() -> None:
    engine = EngineProcess("moody", (*MOODY, "sleeps"), timeout_s=0.1)

    async with asyncio.timeout(10):
        for _ in range(2):
            with pytest.raises(SpeechUnavailable, match=r"did not answer within 0\.1 s"):
                await engine.speak("Hello.")
        await engine.close()


async def test_who_leaves_while_it_waits_for_its_turn_is_not_spoken_for(engine: EngineProcess) -> None:
    napping, leaving = asyncio.create_task(engine.speak("nap")), asyncio.create_task(engine.speak("Never mind."))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    await napping

    assert (await engine.speak("how many")).pcm == b"2"


async def test_a_refusal_is_not_a_failure_of_the_engine(engine: EngineProcess) -> None:
    with pytest.raises(ProviderRefused, match="no such voice"):
        await engine.speak("refuse")
    with pytest.raises(ProviderRefused, match="5,000 characters"):
        await engine.speak("x" * 5_000)

    assert (await engine.speak("Fine.")).pcm == b"Fine."


async def test_who_stops_listening_does_not_spoil_the_next_sentence(engine: EngineProcess) -> None:
    listening = asyncio.create_task(engine.speak("Never mind."))
    await asyncio.sleep(0)
    listening.cancel()
    await asyncio.wait([listening])

    assert (await engine.speak("Next.")).pcm == b"Next."


async def test_an_engine_that_cannot_be_started_is_left_for_the_ladder_to_find_out() -> None:
    engine = EngineProcess("missing", ("tests.contracts.speech.no_such_program",), timeout_s=5.0)
    await engine.start()

    with pytest.raises(SpeechUnavailable, match="missing cannot be started"):
        await engine.speak("Hello.")
    await engine.close()
    with pytest.raises(SpeechUnavailable, match="was shut down"):
        await engine.speak("Hello.")


async def test_short_phrases_are_remembered_within_bounds(engine: EngineProcess) -> None:
    remembered = Remembered(engine, SynthesizeSettings(cache_mb=20 / 1024 / 1024, cached_chars=12))
    first = await remembered.speak("Good day.")
    await remembered.speak("A much longer sentence.")

    assert await remembered.speak("Good day.") is first
    await remembered.speak("Other words.")
    assert await remembered.speak("Good day.") is not first  # 20 bytes hold one of them


@pytest.mark.parametrize("name", ["piper", "espeak-ng"])
async def test_the_real_engines_speak(name: str) -> None:
    assert importlib.util.find_spec("piper") is not None
    (engine,) = engines_of(SynthesizeSettings(engines=name, timeout_s=60.0))
    await engine.start()

    spoken = await engine.speak("Who wrote Frankenstein?")
    await engine.close()

    assert 0.8 < len(spoken.pcm) / 2 / spoken.sample_rate_hz < 4.0


def test_an_engine_nobody_knows_is_a_problem_of_the_settings() -> None:
    with pytest.raises(SettingsInvalid, match="hal9000 is unknown"):
        engines_of(SynthesizeSettings(engines="piper, hal9000"))


async def test_piper_gives_back_what_a_long_sentence_took() -> None:
    (engine,) = engines_of(SynthesizeSettings(engines="piper", timeout_s=60.0))
    await engine.start()

    before = resident_mb()
    await engine.speak("It goes on and on, " * 9)
    after = resident_mb()
    await engine.close()

    assert before > 50
    assert after < before + 60  # onnxruntime would keep 200 more


def resident_mb() -> float:
    """Return the resident memory of the program that this test has started."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in children) * PAGE_BYTES / 1024**2
