"""Program: a speech engine that does what it is told to say."""

import os
import sys
import time

from streams.clients.speech.engine_process import Speak, serve_speech


def load() -> Speak:
    spoken: list[str] = []
    if "sleeps" in sys.argv:
        time.sleep(60)

    def speak(text: str, voice: str | None) -> tuple[int, bytes]:
        if text == "die":
            os._exit(3)
        if text == "hang":
            time.sleep(60)
        if text == "nap":
            time.sleep(0.2)
        spoken.append(text)
        if text == "how many":
            return 16_000, str(len(spoken)).encode()
        if text == "refuse":
            raise ValueError("no such voice")
        if text == "noise":
            print("a library that writes to standard output")  # noqa: T201 - the point of it
        return 16_000, text.encode() + (voice or "").encode()

    return speak


if __name__ == "__main__":
    serve_speech(load)
