"""What runs in a program: it reads requests from standard input until that ends.

One request is a line of JSON; one answer is `HEAD` (0 for an answer or 1 for an error, number of bytes) and then its bytes or the
message. The first answer, an empty one, says that the program is ready.
"""

import os
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import orjson

HEAD = struct.Struct("<BI")
ANSWER, ERROR = 0, 1
LONGEST_MESSAGE = 500

Reply = Callable[[Any], bytes]
FAILURES = (OSError, RuntimeError, ValueError, MemoryError, ImportError)


def serve(load: Callable[[], Reply]) -> None:
    """Load what answers, then answer until the other side is gone. What cannot be loaded answers once, with the error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the worker ends this one
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not look like an answer
    try:
        reply = load()
    except FAILURES as error:
        _answer(answers, ERROR, _message(error))
        return
    _answer(answers, ANSWER, b"")
    for line in sys.stdin.buffer:
        try:
            found = reply(orjson.loads(line))
        except FAILURES as error:
            _answer(answers, ERROR, _message(error))
        else:
            _answer(answers, ANSWER, found)


def _message(error: BaseException) -> bytes:
    return f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:LONGEST_MESSAGE]


def _answer(answers: BinaryIO, kind: int, content: bytes) -> None:
    answers.write(HEAD.pack(kind, len(content)) + content)
    answers.flush()
