"""Waiting for something to become true: a condition polled until a deadline, never a guess at how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.02


def eventually(condition: Callable[[], T], *, within_s: float, what: str) -> T:
    """Return the first truthy value of `condition`.

    Raises:
        AssertionError: it stayed falsy; names `what` was waited for and the last value.
    """
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what} (last: {value!r})")
        time.sleep(POLL_S)
    return value
