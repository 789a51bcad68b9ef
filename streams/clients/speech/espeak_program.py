"""Program: espeak-ng from the package `espeakng-loader`, GPL-3, in a process of its own."""

import ctypes
from collections.abc import Callable
from typing import Any

import espeakng_loader

from streams.clients.speech.engine_process import Speak, serve_speech

RETRIEVAL, UTF8 = 1, 1  # speak_lib.h: AUDIO_OUTPUT_RETRIEVAL, espeakCHARS_UTF8
NO_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
BUFFER_MS = 200
DEFAULT_VOICE = "en-us"
OK, GO_ON = 0, 0


def load() -> Speak:
    """Return what speaks. Raises RuntimeError."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = library.espeak_Initialize(RETRIEVAL, BUFFER_MS, espeakng_loader.get_data_path().encode(), NO_EXIT)
    if rate_hz <= 0:
        raise RuntimeError("espeak-ng cannot read its data")
    pcm = bytearray()
    collector = _collector(pcm)
    library.espeak_SetSynthCallback(collector)

    def speak(text: str, voice: str | None) -> tuple[int, bytes]:
        if library.espeak_SetVoiceByName((voice or DEFAULT_VOICE).encode()) != OK:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        pcm.clear()
        said = text.encode("utf-8", "replace").replace(b"\0", b" ")
        if library.espeak_Synth(said, len(said) + 1, 0, 0, 0, UTF8, None, None) != OK:
            raise RuntimeError("espeak-ng did not speak")
        library.espeak_Synchronize()
        return rate_hz, bytes(pcm)

    speak.collector = collector  # type: ignore[attr-defined] # C holds no reference to it
    return speak


def _collector(pcm: bytearray) -> Callable[..., int]:
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def collect(samples: Any, count: int, _events: object) -> int:  # noqa: ANN401 - a C pointer
        if samples and count > 0:
            pcm.extend(ctypes.string_at(samples, count * 2))
        return GO_ON

    return kind(collect)


if __name__ == "__main__":
    serve_speech(load)
