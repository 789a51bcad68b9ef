"""What letters say that were turned round, moved through the alphabet or replaced by digits.

Whether another reading is the better English is told by pairs of letters, counted in common words and those of `concepts`.
"""

import codecs
import re
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from streams.screen.concepts import WORDS, concept_of

Codes = np.ndarray[tuple[int, ...], np.dtype[Any]]

_COMMON = """
    about above act after again all allowed always an and answer any are as ask at be because been before but by can could developer did
    do does don each earlier every everything first follow for forget free freed from give given go had has have he her his how i if
    ignore in instructions into is it its just let like limits list make may me message mode more must my never new no nothing not now
    of on one only or our out output over own password play pretend previous print prompt questions read repeat reply reveal rules say
    secret she should show so some stop system take talk tell text than that the their them then there these they this those time to
    today told under until up user very was we were what when where which who why will with without word words would write yes you your
    """
_KNOWN = frozenset({*WORDS, *_COMMON.split()})
_LETTERS = 26
_WIDTH = _LETTERS + 1  # zero is everything that is no letter
_UNSEEN = 0.3  # how often a pair counts that is in no word
_LEAST_GAIN = (
    12.0  # natural logarithm of the odds for the other reading: one harmless text in a hundred has as much by chance
)
_LEAST_WORDS = 2  # that are known, more than as written
_LEAST_KNOWN = 0.25  # share of them
_WORD = re.compile(r"[a-z]{2,}")
_SPACE = re.compile(r"\s")

_LEET = str.maketrans("034578@$!+69", "oeastbasitgg")
_SIGNS = "0134578@$!|+69"
_PIECE = re.compile(rf"[a-z{_SIGNS}]+")
_MIXED = re.compile(rf"[a-z][{_SIGNS}]|[{_SIGNS}][a-z]")
_EITHER = re.compile(r"[1|]")
_MOST_EITHER = 3  # of one word
_WHOLLY = 0.25  # share of words with digits in them above which a word of digits alone is read as well


def _coded(text: str) -> Codes:
    letters = np.frombuffer(f" {text} ".encode("ascii", "replace"), dtype=np.uint8).astype(np.int64) - (ord("a") - 1)
    return np.where((letters > 0) & (letters <= _LETTERS), letters, 0)


def _likelihoods() -> Codes:
    letters = _coded(" ".join(sorted(_KNOWN)))
    counts = np.bincount(letters[:-1] * _WIDTH + letters[1:], minlength=_WIDTH**2).reshape(_WIDTH, _WIDTH) + _UNSEEN
    counts[0, 0] = counts[0].sum() * counts[:, 0].sum() / counts.sum()  # what is no letter says nothing
    shares: Codes = np.log(counts / counts.sum())
    return shares


_LIKELIHOODS = _likelihoods()
_ROT13 = np.array([0, *(1 + (number + _LETTERS // 2) % _LETTERS for number in range(_LETTERS))])


def unrotated(text: str) -> str | None:
    """Return the stretch of a folded text that is English in rot13, read; None without one."""
    return _better(
        text, lambda first, second: (_ROT13[first], _ROT13[second]), lambda said: codecs.encode(said, "rot13")
    )


def unmirrored(text: str) -> str | None:
    """Return the stretch of a folded text that is English from the right to the left, read; None without one."""
    return _better(text, lambda first, second: (second, first), lambda said: said[::-1])


def unleeted(text: str) -> str | None:
    """Return a folded text with letters for the digits and signs that stand for them; None when there are too few."""
    pieces = _PIECE.findall(text)
    mixed = sum(_MIXED.search(piece) is not None for piece in pieces)
    if mixed < _LEAST_WORDS:
        return None
    wholly = mixed >= _WHOLLY * len(pieces)
    said = _PIECE.sub(
        lambda found: _lettered(found.group()) if wholly or _MIXED.search(found.group()) else found.group(), text
    )
    return said if _known(said) >= _known(text) + _LEAST_WORDS else None


def _better(text: str, pairs: Callable[[Codes, Codes], tuple[Codes, Codes]], read: Callable[[str], str]) -> str | None:
    """Return what is said in the stretch whose pairs of letters are the most like English when they are read otherwise."""
    letters = _coded(text)
    first, second = letters[:-1], letters[1:]
    gains = _LIKELIHOODS[pairs(first, second)] - _LIKELIHOODS[first, second]
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    lowest = np.minimum.accumulate(sums)
    end = int((sums - lowest).argmax())
    if sums[end] - lowest[end] < _LEAST_GAIN:
        return None
    start = end - int(sums[end::-1].argmin())
    before = [space.end() for space in _SPACE.finditer(text, 0, start)]
    after = _SPACE.search(text, end - 1)
    said = read(text[before[-1] if before else 0 : after.start() if after else len(text)])
    return said if _known(said) >= max(_LEAST_WORDS, _LEAST_KNOWN * len(_WORD.findall(said))) else None


def _known(text: str) -> int:
    return sum(word in _KNOWN or concept_of(word) is not None for word in _WORD.findall(text))


def _lettered(word: str) -> str:
    bare = word.rstrip("!")
    plain = bare.translate(_LEET)
    open_places = len(_EITHER.findall(plain))
    if 0 < open_places <= _MOST_EITHER:
        letters = (iter(each) for each in product("il", repeat=open_places))
        plain = max((_EITHER.sub(lambda _, each=each: next(each), plain) for each in letters), key=_likeness)  # type: ignore[misc]
    return _EITHER.sub("i", plain) + word[len(bare) :]


def _likeness(word: str) -> tuple[bool, float]:
    letters = _coded(word)
    return word in _KNOWN, float(_LIKELIHOODS[letters[:-1], letters[1:]].sum())
