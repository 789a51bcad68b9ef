"""Marks around text of strangers in a prompt, which that text cannot contain."""

import hashlib
import itertools
import string
from collections.abc import Iterable

_LETTERS = 6


def unforgeable_mark(request_id: str, texts: Iterable[str]) -> str:
    """Return a short mark that none of the texts contains, so that none can pretend to have ended; the same for the same request."""
    everything = "\n".join(texts)
    marks = (word(f"mark {attempt}", request_id, _LETTERS) for attempt in itertools.count())
    return next(mark for mark in marks if mark not in everything)


def word(purpose: str, request_id: str, letters: int) -> str:
    """Return letters that only who knows the request can tell: 4.7 bits each, and half the tokens of as many bits in digits."""
    number = int.from_bytes(hashlib.sha256(f"{purpose}\0{request_id}".encode()).digest())
    return "".join(string.ascii_lowercase[number // 26**place % 26] for place in range(letters))
