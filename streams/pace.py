"""How long models take to their first token, remembered in one letter for each call, so that a p95 fits into a circuit's state."""

import math

RATIO = 1.2  # a letter stands for times up to so much longer than the letter before
FIRST, LAST = ord("!"), ord("~")
LONGEST_MS = 1e7
ENOUGH = 10  # calls, before which nothing is said about what is usual
USUAL = 0.95


def letter(ttft_ms: float) -> str:
    """Return the letter of a time; the first stands for all up to a millisecond."""
    step = math.ceil(math.log(min(max(ttft_ms, 1.0), LONGEST_MS), RATIO) - 1e-9)
    return chr(min(FIRST + step, LAST))


def p95_ms(paces: str) -> float | None:
    """Return the time within which 95 of 100 calls began to answer, rounded up to its letter; None when few are known."""
    if len(paces) < ENOUGH:
        return None
    slow = sorted(paces)[math.ceil(USUAL * len(paces)) - 1]
    return RATIO ** (ord(slow) - FIRST)
