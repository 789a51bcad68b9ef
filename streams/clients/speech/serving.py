"""What runs in the process of a speech engine: it reads requests from standard input until that ends.

Engines under the GPL stay in programs of their own. One request is a line of JSON, `{"text": ..., "voice": ...}`; one answer is
`HEAD` (0 for speech or 1 for an error, samples per second, number of bytes) and then the samples or the message.
"""

import json
import os
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO

HEAD = struct.Struct("<BII")
SPEECH, ERROR = 0, 1
LONGEST_MESSAGE = 500

Speak = Callable[[str, str | None], tuple[int, bytes]]


def serve(load: Callable[[], Speak]) -> None:
    """Load the engine, then answer until the other side is gone. An engine that cannot be loaded answers once, with the error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what an engine prints must not look like speech
    try:
        speak = load()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        _answer(answers, ERROR, 0, f"{type(error).__name__}: {error}".encode()[:LONGEST_MESSAGE])
        return
    _answer(answers, SPEECH, 0, b"")  # ready
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        try:
            rate_hz, pcm = speak(asked["text"], asked["voice"])
        except (OSError, RuntimeError, ValueError) as error:
            _answer(answers, ERROR, 0, f"{type(error).__name__}: {error}".encode()[:LONGEST_MESSAGE])
        else:
            _answer(answers, SPEECH, rate_hz, pcm)


def _answer(answers: BinaryIO, kind: int, rate_hz: int, content: bytes) -> None:
    answers.write(HEAD.pack(kind, rate_hz, len(content)) + content)
    answers.flush()
