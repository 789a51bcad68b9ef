"""Program: piper (`piper-tts`, GPL-3) with a voice file, in a process of its own. Argument: the voice file."""

import json
import sys
from pathlib import Path
from typing import Any

from streams.clients.speech.engine_process import Speak, serve_speech

# What a sentence took is given back after it: 400 letters take 600 MiB, which onnxruntime would keep for good.
GIVE_BACK = ("memory.enable_memory_arena_shrinkage", "cpu:0")


def load() -> Speak:
    """Return what speaks. Raises ImportError, OSError."""
    from piper import PiperConfig, PiperVoice  # noqa: PLC0415 - a missing package is an answer of the program, not its crash

    path = sys.argv[1]
    config = PiperConfig.from_dict(json.loads(Path(f"{path}.json").read_bytes()))
    voice = PiperVoice(session=_session(path), config=config)
    rate_hz = voice.config.sample_rate

    def speak(text: str, _voice: str | None) -> tuple[int, bytes]:
        return rate_hz, b"".join(part.audio_int16_bytes for part in voice.synthesize(text))

    speak("Ready.", None)
    return speak


def _session(path: str) -> Any:  # noqa: ANN401 - the library has no types
    import onnxruntime  # noqa: PLC0415 - as above

    options, run = onnxruntime.SessionOptions(), onnxruntime.RunOptions()
    options.enable_mem_pattern = False  # which plans memory for lengths that never come again
    run.add_run_config_entry(*GIVE_BACK)

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        """Piper gives its runs no options."""

        def run(self, names: Any, inputs: Any, run_options: Any = None) -> Any:  # noqa: ANN401 - as above
            return super().run(names, inputs, run_options or run)

    return Session(path, sess_options=options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    serve_speech(load)
