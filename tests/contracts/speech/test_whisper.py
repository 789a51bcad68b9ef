"""The real speech recognition on real speech, silence, noise and tones."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from faster_whisper import WhisperModel

from agents.transcribe import rules
from streams.clients.audio.decoder import decoded
from streams.clients.speech.registry import engines_of
from streams.clients.speech.whisper import Whisper, english_model
from streams.errors import AudioInvalid, ModelMissing, SpeechUnavailable
from streams.settings import SynthesizeSettings, TranscribeSettings
from streams.speech import RATE_HZ, seconds
from tests.contracts.speech import music
from tests.contracts.speech.recordings import tone
from tests.eventually import eventually

SENTENCE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def spoken() -> bytes:
    async def speak() -> bytes:
        (engine,) = engines_of(SynthesizeSettings(engines="piper", timeout_s=60.0))
        try:
            said = await engine.speak(SENTENCE)
        finally:
            await engine.close()
        return decoded(said.pcm, "pcm_s16le", said.sample_rate_hz, 60.0)

    return asyncio.run(speak())


@pytest.fixture
async def whisper() -> AsyncIterator[Whisper]:
    recognizer = Whisper(TranscribeSettings(threads=1))
    await recognizer.start()
    yield recognizer
    await recognizer.close()


async def test_words_are_heard_with_their_times(whisper: Whisper, spoken: bytes) -> None:
    heard = await whisper.listen(bytes(2 * RATE_HZ) + spoken)  # after a second of silence

    words = [word for segment in heard.segments for word in segment.words]
    said = SENTENCE.strip(".").lower().split()
    wrong = [one for one, other in zip(words, said, strict=True) if one.text.strip(".,").lower() != other]
    assert len(wrong) <= 1  # the voice speaks a little differently every time, and a word may be misheard
    assert 0.8 < words[0].start_s < 1.6
    assert words[-1].end_s <= seconds(spoken) + 1.2
    assert all(0.0 < word.probability <= 1.0 for word in words)
    assert (heard.language, heard.model) == ("en", "whisper-tiny.en")


async def test_speech_is_heard_to_its_end_however_long_the_pauses(whisper: Whisper, spoken: bytes) -> None:
    """Shorter than the window of the model, longer, and longer than Whisper's own."""
    for silence_s in (0, 8, 20):
        pause = bytes(silence_s * 2 * RATE_HZ)

        heard = await whisper.listen(spoken + pause + spoken + pause)

        words = " ".join(segment.text for segment in heard.segments).lower()
        assert (words.count("fox"), words.count("lazy dog")) == (2, 2)


@pytest.mark.parametrize(
    "pcm",
    [
        b"",
        b"\0\0",
        bytes(5 * 2 * RATE_HZ),
        tone(5.0).tobytes(),
        np.asarray(np.random.default_rng(1).normal(0, 3_000, 5 * RATE_HZ), dtype=np.int16).tobytes(),
        np.full(5 * RATE_HZ, 32_767, dtype=np.int16).tobytes(),
    ],
    ids=["nothing", "one sample", "silence", "tone", "noise", "full scale"],
)
async def test_nobody_is_heard_where_nobody_speaks(whisper: Whisper, pcm: bytes) -> None:
    heard = await whisper.listen(pcm)

    assert (heard.segments, heard.speech) == ((), ())


@pytest.mark.parametrize("seed", [0, 6, 10])
async def test_no_word_of_music_is_believed(whisper: Whisper, seed: int) -> None:
    """Instruments are told from a voice; of a voice without words the model writes some, and they are left out."""
    assert (await whisper.listen(music.band(seed))).speech == ()
    for sung in (music.song(seed), music.song(seed, accompanied=True)):
        told = rules.believed(await whisper.listen(sung))

        assert told.text == ""


async def test_speech_cut_off_at_full_scale_is_still_heard(whisper: Whisper, spoken: bytes) -> None:
    loud = np.clip(np.frombuffer(spoken, dtype="<i2").astype(np.int32) * 8, -32_768, 32_767)

    heard = await whisper.listen(np.asarray(loud, dtype="<i2").tobytes())

    assert "fox" in " ".join(segment.text for segment in heard.segments)


async def test_a_language_without_a_model_is_refused(whisper: Whisper) -> None:
    with pytest.raises(AudioInvalid, match="only English is understood here, not 'de'"):
        await whisper.listen(b"\0\0", language="de-DE")


async def test_the_model_not_used_for_longest_is_unloaded(tmp_path: Path) -> None:
    """A copy of the English model stands for a multilingual one."""
    other = tmp_path / "other"
    shutil.copytree(english_model(TranscribeSettings()), other)
    recognizer = Whisper(TranscribeSettings(models_kept=1, multilingual_model=str(other), threads=1))

    await recognizer.listen(b"\0\0", language="en")
    heard = await recognizer.listen(b"\0\0")

    assert (recognizer.loaded(), heard.model) == (1, "other")
    await recognizer.close()
    assert recognizer.loaded() == 0
    with pytest.raises(SpeechUnavailable, match="shut down"):
        await recognizer.listen(b"\0\0")


class Weights:
    """Stands for a model where only loading is of interest: nobody speaks, so it is not asked for words."""

    supported_languages = ("en", "fr")


def two_models(
    tmp_path: Path, load: Callable[[Path], object] = lambda _: None, *, idle_unload_s: float = 900.0
) -> Whisper:
    """An English model in `en` and a multilingual one in `all`."""
    settings = TranscribeSettings(
        model=str(tmp_path / "en"), multilingual_model=str(tmp_path / "all"), idle_unload_s=idle_unload_s
    )

    def loaded(path: Path, _: TranscribeSettings) -> WhisperModel:
        load(path)
        return cast("WhisperModel", Weights())

    return Whisper(settings, loaded)


async def test_models_are_loaded_at_the_same_time_before_the_start_is_over(tmp_path: Path) -> None:
    both = threading.Barrier(2)  # passed by two threads only
    recognizer = two_models(tmp_path, lambda _: both.wait(10.0))

    await recognizer.start()

    assert recognizer.loaded() == 2
    await recognizer.close()


async def test_who_has_a_model_does_not_wait_for_one_that_loads(tmp_path: Path) -> None:
    go_on = threading.Event()
    recognizer = two_models(tmp_path, lambda path: None if path.name == "en" else go_on.wait(10.0))

    french = asyncio.create_task(recognizer.listen(b"\0\0", language="fr"))
    async with asyncio.timeout(5.0):
        heard = await recognizer.listen(b"\0\0", language="en")

    assert (heard.model, french.done()) == ("en", False)
    go_on.set()
    assert (await french).model == "all"
    await recognizer.close()


async def test_a_model_nobody_uses_is_unloaded_and_loaded_again_when_it_is_needed(tmp_path: Path) -> None:
    loads: list[str] = []
    recognizer = two_models(tmp_path, lambda path: loads.append(path.name), idle_unload_s=0.1)
    await recognizer.start()

    await asyncio.to_thread(eventually, lambda: not recognizer.loaded(), within_s=5.0, what="no model in memory")
    await recognizer.listen(b"\0\0", language="en")

    assert sorted(loads[:2]) == ["all", "en"]
    assert loads[2:] == ["en"]
    await recognizer.close()


async def test_a_language_that_a_model_does_not_know_is_the_senders_mistake(tmp_path: Path) -> None:
    recognizer = two_models(tmp_path)

    with pytest.raises(AudioInvalid, match="all knows no language 'tlh'"):
        await recognizer.listen(b"\0\0", language="tlh-Piqd")
    await recognizer.close()


async def test_a_folder_without_a_model_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"model\.bin is missing"):
        await Whisper(TranscribeSettings(model=str(tmp_path))).start()
    (tmp_path / "model.bin").write_bytes(b"nonsense")
    with pytest.raises(ModelMissing, match="cannot be loaded"):
        await Whisper(TranscribeSettings(model=str(tmp_path))).start()
