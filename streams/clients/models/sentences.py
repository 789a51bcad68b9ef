"""Which sentences of the context answer a question, by the words they share: pure functions, no model."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.records import Chunk

FULL_STOPS = ".!?\u3002\uff01\uff1f\u061f"  # also those of Chinese, Japanese and Arabic
CLOSING = "\"')\\]\u201d\u2019"
SENTENCE = re.compile(rf"[^\n{FULL_STOPS}]*(?:[.!?](?!\s|$)[^\n{FULL_STOPS}]*)*[{FULL_STOPS}]*[{CLOSING}]*")
WORD = re.compile(r"[^\W_]+")
UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # scripts in which two characters make a word
STOP_WORDS = frozenset(
    """
    a about all an and any are as at be been but by can could did do does for from give had has have how i if
    in into is it its let may me might most much must my name no not of on one or our shall she should so some
    tell than that the their them then there these they this those to us was we were what when where which who
    whom whose why will with would you your
    """.split()  # noqa: SIM905 - a page of quotes reads worse
)
ENDINGS = (
    "ations",
    "ation",
    "ments",
    "ment",
    "ings",
    "ing",
    "edly",
    "ies",
    "ied",
    "ers",
    "ed",
    "es",
    "er",
    "ly",
    "s",
    "e",
)
SHORTEST_STEM = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence of a kept chunk; `said` are the words of the question in it, `covered` also those in its title."""

    text: str
    position: tuple[int, int]
    said: frozenset[str]
    covered: frozenset[str]
    relevance: float

    def rank(self) -> tuple[int, float, int, int]:
        """Order among sentences that cover as much: what they say themselves, then relevance, then place."""
        return len(self.said), self.relevance, -self.position[0], -self.position[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The sentences that cover the question best, in the order of the context, and the share they cover, 0 to 1."""

    sentences: tuple[str, ...]
    coverage: float


def best(query: str, chunks: Sequence[Chunk], *, at_most: int) -> Best:
    """Choose greedily: each next sentence is the one that covers most of what is still uncovered."""
    sentences = list(_sentences(stems(query), chunks))
    weights = _weights(stems(query), sentences)
    chosen: list[Sentence] = []
    covered: frozenset[str] = frozenset()
    while len(chosen) < at_most:
        gains = [(sum(weights[word] for word in one.covered - covered), one) for one in sentences if one not in chosen]
        gain, sentence = max(gains, key=lambda pair: (pair[0], pair[1].rank()), default=(0.0, None))
        if sentence is None or gain <= 0:
            break
        chosen.append(sentence)
        covered |= sentence.covered
    total = sum(weights.values())
    ordered = tuple(sentence.text for sentence in sorted(chosen, key=lambda s: s.position))
    return Best(sentences=ordered, coverage=sum(weights[word] for word in covered) / total if total else 0.0)


def stems(text: str) -> frozenset[str]:
    """Words that carry meaning, without their endings; pairs of characters in scripts that write no spaces."""
    return frozenset(part for word in WORD.findall(text.casefold()) if word not in STOP_WORDS for part in _parts(word))


def _parts(word: str) -> Iterator[str]:
    if UNSPACED.search(word):
        yield from (word[i : i + 2] for i in range(max(1, len(word) - 1)))
        return
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= SHORTEST_STEM:
            yield word.removesuffix(ending)
            return
    yield word


def _sentences(wanted: frozenset[str], chunks: Sequence[Chunk]) -> Iterator[Sentence]:
    for chunk_number, chunk in enumerate(chunk for chunk in chunks if chunk.kept):
        titled = stems(chunk.title)
        for number, match in enumerate(SENTENCE.finditer(chunk.text)):
            if text := match.group().strip():
                said = wanted & stems(text)
                yield Sentence(
                    text=text,
                    position=(chunk_number, number),
                    said=said,
                    covered=said | (wanted & titled),
                    relevance=chunk.relevance,
                )


def _weights(wanted: frozenset[str], sentences: Sequence[Sentence]) -> Mapping[str, float]:
    """Rare words of the question count more; a word the context never says counts most."""
    total = len(sentences)
    return {word: math.log(1 + (total + 1) / (1 + sum(word in s.covered for s in sentences))) for word in wanted}
