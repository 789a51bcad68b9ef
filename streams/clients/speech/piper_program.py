"""Program: piper (`piper-tts`, GPL-3) with a voice file, in a process of its own. Argument: the voice file."""

import sys

from streams.clients.speech.engine_process import Speak, serve_speech


def load() -> Speak:
    """Return what speaks. Raises ImportError, OSError."""
    from piper import PiperVoice  # noqa: PLC0415 - a missing package is an answer of the program, not its crash

    voice = PiperVoice.load(sys.argv[1])
    rate_hz = voice.config.sample_rate

    def speak(text: str, _voice: str | None) -> tuple[int, bytes]:
        return rate_hz, b"".join(part.audio_int16_bytes for part in voice.synthesize(text))

    speak("Ready.", None)
    return speak


if __name__ == "__main__":
    serve_speech(load)
