"""How right words are: the word error rate, the curve from confidence to it, and how far off a confidence is."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tests.benchmarks.hearing_speech import Condition

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
FIT_BINS = 24
BINS = 10
Curve = tuple[tuple[float, float], ...]


class Heard(NamedTuple):
    """A clip, heard again. `confidence` is raw; without any words heard it has none. `discarded` says what was not believed."""

    voice: str
    condition: Condition
    errors: int
    words: int
    confidence: float | None
    discarded: tuple[str, ...] = ()

    @property
    def right(self) -> float:
        """The share of words that are right."""
        return max(0.0, 1.0 - self.errors / self.words)


class Bin(NamedTuple):
    """Clips of like confidence: its mean, the share of their words that is right, and how many words they are."""

    confidence: float
    right: float
    words: int


def plain(text: str) -> Sequence[str]:
    """Return the words of a text without case and punctuation."""
    return WORD.findall(text.casefold().replace("\u2019", "'"))


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """Return the edit distance in words, and the words said."""
    reference, hypothesis = plain(said), plain(heard)
    row = list(range(len(hypothesis) + 1))
    for at, word in enumerate(reference, 1):
        before, row[0] = row[0], at
        for position, other in enumerate(hypothesis, 1):
            before, row[position] = (
                row[position],
                min(row[position] + 1, row[position - 1] + 1, before + (word != other)),
            )
    return row[-1], len(reference)


def error_rate(heard: Sequence[Heard]) -> float:
    """Return the word error rate of clips together."""
    return sum(one.errors for one in heard) / sum(one.words for one in heard)


def bins(heard: Sequence[Heard], sure: Callable[[float], float], count: int = BINS) -> Sequence[Bin]:
    """Return clips with words in bins of about as many clips each, least confidence first."""
    rated = sorted((sure(one.confidence), one.right, one.words) for one in heard if one.confidence is not None)
    return [_bin(np.asarray(part)) for part in np.array_split(np.asarray(rated), count) if len(part)]


def expected_error(parts: Sequence[Bin]) -> float:
    """Return the expected calibration error: by how much confidence and share differ, weighted by words."""
    return sum(abs(one.confidence - one.right) * one.words for one in parts) / sum(one.words for one in parts)


def fitted(heard: Sequence[Heard]) -> Curve:
    """Return the curve nearest to the share of right words at each confidence that never falls (isotonic regression).

    Neighbouring bins that would make it fall become one (pool adjacent violators).
    """
    pools: list[Bin] = []
    for one in bins(heard, lambda raw: raw, FIT_BINS):
        pools.append(one)
        while len(pools) > 1 and not _rises(pools[-2], pools[-1]):
            last, before = pools.pop(), pools.pop()
            words = last.words + before.words
            mean = [(last[at] * last.words + before[at] * before.words) / words for at in (0, 1)]
            pools.append(Bin(mean[0], mean[1], words))
    points = [_point(one) for one in pools]
    return ((0.0, 0.0), *points, (1.0, points[-1][1]))


def _point(one: Bin) -> tuple[float, float]:
    return round(one.confidence, 3), round(one.right, 3)


def _rises(before: Bin, after: Bin) -> bool:
    return all(later > earlier for earlier, later in zip(_point(before), _point(after), strict=True))


def _bin(rated: np.ndarray) -> Bin:
    words = rated[:, 2]
    return Bin(
        confidence=float(np.average(rated[:, 0], weights=words)),
        right=float(np.average(rated[:, 1], weights=words)),
        words=int(words.sum()),
    )
