"""Words, numbers and sentences of a text, for rules that compare texts without a model.

Deterministic and the same in every stage, so that what retrieval calls an overlap is what evaluation calls one.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

# Scripts written without spaces: their words are approximated by pairs of neighbouring characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(
    rf"\d+(?:[.,]\d+)*(?!\w)|[{_UNSPACED}]+|(?:(?![{_UNSPACED}])\w)+(?:['\u2019](?:(?![{_UNSPACED}])\w)+)*"
)
_FIRST_UNSPACED = re.compile(f"[{_UNSPACED}]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_GROUPING = re.compile(r",(?=\d{3}(?:\D|$))")
_SENTENCE_END = re.compile(
    r"(?<![.!?\u2026\u0964])[.!?\u2026\u0964]+[\"'\u2019\u201d)\]]*(?=\s)|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09]*|\n+"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|cf|Inc|Ltd|Co|Corp|approx|ca|e\.g|i\.e|p\.m|a\.m|U\.S)\.$"
)
_LONGEST_ABBREVIATION = 12
_SHORTEST_STEM = 3
_SPELLED = {
    word: str(number)
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
}
_LONGEST_STEMMED = 40

STOP_WORDS = frozenset(
    """
    a about above after again against all also although am among an and any are as at be because been before
    being below between both but by can cannot could did do does doing down during each else even ever every few
    for from further had has have having he her here hers herself him himself his how however i if in into is it
    its itself just let like many may me might more most much must my myself no nor not of off often on once one
    only or other our ours ourselves out over own per quite rather same shall she should since so some still
    such than that the their theirs them themselves then there these they this those though through thus to too
    under until up upon us very was we were what when where whether which while who whom whose why will with
    within without would yet you your yours yourself yourselves tell explain describe please
    """.split()  # noqa: SIM905 - a list of words reads best as words
)


def words(text: str) -> list[str]:
    """Return the words in order, case folded and reduced to a stem; pairs of characters where no spaces are written."""
    found: list[str] = []
    for word in _WORD.findall(text):
        if _FIRST_UNSPACED.match(word):
            found.extend(word[at : at + 2] for at in range(max(1, len(word) - 1)))
        else:
            found.append(stem(word) if len(word) <= _LONGEST_STEMMED else word.casefold())
    return found


@lru_cache(maxsize=4096)  # passages come back with every question they are near to
def content_counts(text: str) -> Mapping[str, int]:
    """Return how often a text says each word that carries meaning: no English function words, no single letters."""
    return Counter(word for word in words(text) if word not in _STOP_STEMS and (len(word) > 1 or not word.isascii()))


@lru_cache(maxsize=4096)
def content_words(text: str) -> frozenset[str]:
    """Return the distinct words of `content_counts`."""
    return frozenset(content_counts(text))


def numbers(text: str) -> frozenset[str]:
    """Return the numbers of a text without grouping commas: `1,000` and `1000` are one, `3.5` is another."""
    return frozenset(_GROUPING.sub("", number) for number in _NUMBER.findall(text))


def spelled_numbers(text: str) -> frozenset[str]:
    """Return as digits the numbers from zero to twelve that a text writes as English words."""
    return frozenset(_SPELLED[word] for word in _WORD.findall(text.casefold()) if word in _SPELLED)


def sentences(text: str) -> Sequence[str]:
    """Return the sentences. Joined they are the text itself, white space included.

    A line break ends a sentence; the full stop of a known abbreviation or of an initial does not.
    """
    parts: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if end.group().startswith(".") and _ABBREVIATION.search(
            text[max(start, end.start() - _LONGEST_ABBREVIATION) : end.start() + 1]
        ):
            continue
        stop = _after_space(text, end.end())
        if stop > start:
            parts.append(text[start:stop])
        start = max(start, stop)
    if start < len(text):
        parts.append(text[start:])
    return parts


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return the word without case, possessive and the commonest English endings; a number without grouping commas.

    Crude, and the same for both sides of a comparison.
    """
    if word[:1].isdigit():
        return _GROUPING.sub("", word).casefold()
    plain = word.casefold().replace("\u2019", "'").removesuffix("'s").rstrip("'")
    if not plain.isascii():
        return plain
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if plain.endswith(ending) and len(plain) - len(ending) >= _SHORTEST_STEM and not plain.endswith(("ss", "us")):
            return (plain.removesuffix(ending) + instead).removesuffix("e")
    return plain.removesuffix("e") if len(plain) > _SHORTEST_STEM else plain


_STOP_STEMS = STOP_WORDS | {stem(word) for word in STOP_WORDS}


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
