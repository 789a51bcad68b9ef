"""Marks around text of strangers in a prompt, which that text cannot contain."""

import hashlib
import itertools
from collections.abc import Iterable

_LETTERS = 6


def unforgeable_mark(request_id: str, texts: Iterable[str]) -> str:
    """Return a short mark that none of the texts contains, so that none can pretend to have ended; the same for the same request."""
    everything = "\n".join(texts)
    marks = (_digest(attempt, request_id) for attempt in itertools.count())
    return next(mark for mark in marks if mark not in everything)


def _digest(attempt: int, request_id: str) -> str:
    return hashlib.sha256(f"mark {attempt}\0{request_id}".encode()).hexdigest()[:_LETTERS]
