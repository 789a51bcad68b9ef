"""The canary: a word of the prompt that shows up in an answer which gives its instructions away, in whatever spelling."""

import re

_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


def gives_away(text: str, canary: str) -> bool:
    """Whether a text holds the canary; case, spaces and punctuation, also within it, make no difference."""
    return _bare(canary) in _bare(text)


def certain(text: str, canary: str) -> int:
    """Return how many characters of an unfinished text cannot be the beginning of the canary, however it goes on.

    At most one canary's letters, and what lies between them, are uncertain. The text must not hold the whole canary.
    """
    secret = _bare(canary)
    letters = [
        (letter, at) for at, character in enumerate(text) if character.isalnum() for letter in character.casefold()
    ]
    tail = "".join(letter for letter, _ in letters[-len(secret) :])
    for length in range(min(len(tail), len(secret) - 1), 0, -1):
        if tail.endswith(secret[:length]):
            return letters[-length][1]
    return len(text)


def _bare(text: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", text).casefold()
