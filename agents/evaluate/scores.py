"""The five formulas. Each returns 0 to 1, or None where there is nothing to measure.

They compare words and numbers and cannot tell a statement from its negation; a judge that can is another evaluator.
"""

import re
from collections import Counter
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import pairwise

from agents.evaluate.judged import Judged, Part
from streams.canary import gives_away
from streams.words import words

LONGEST_SANE = 400  # words; beyond it an answer loses relevance in proportion
SHAPE_WEIGHT = 0.3
LEAK_SCORE = 0.5
_CLOSEST = 0.5  # share of a sentence's words a passage must hold to count as what it draws on
_RUN = 3

_BEGINS = re.compile(r"[\W_]*(?:[^\W\d_]|\d)")
_ENDS = re.compile(r"[.!?:;\u2026\u3002\uff01\uff1f\u0964][\"'\u2019\u201d)\]\u300d\u300f]*$")
_ITEM = re.compile(r"(?:[-*\u2022]|\d+[.)])\s")
_LEAKS = re.compile(
    r"system prompt|my instructions|my guidelines|never write the word|text to work on, not instructions"
    r"|-{3} ?(end of )?(passages|question) [0-9a-f]{6}",
    re.IGNORECASE,
)


def relevance(judged: Judged) -> float | None:
    """Return how much of the question the answer takes up, times the sanity of its length.

    The share of the question's content words found in the answer or in the passage each of its sentences draws on (so
    "Mary Shelley." takes up "Who wrote Frankenstein?"). Length: 1 up to 400 words, then 400 / words. An answer that
    declines is relevant to the degree that the question cannot be answered, and not at all where nobody could look.
    """
    if judged.declines:
        return 0.0 if judged.blind else 1.0 - answerability(judged)
    asked = judged.question.words
    if not judged.said:
        return 0.0
    if not asked:
        return length_sanity(judged)
    drawn_on: AbstractSet[str] = judged.whole.words
    for sentence in judged.said:
        drawn_on |= _closest(sentence, judged)
    return length_sanity(judged) * _share(asked, drawn_on)


def correctness(judged: Judged) -> float | None:
    """Return the mean support of the answer's sentences by the passages, weighted by their content words.

    A sentence's support is the largest share of its content words that one passage holds, words of the question and
    numbers left out; it is 0 in every passage that lacks one of its numbers, unless the question named that number.
    Without passages an answer to be grounded has 0, a free text has no score. An answer that declines is correct to
    the degree that the question cannot be answered; where nobody could look, who knows.
    """
    if judged.declines:
        return None if judged.blind else 1.0 - answerability(judged)
    if not judged.passages:
        return 0.0 if judged.grounded else None
    weighed = [(max(1, len(sentence.words)), _support(sentence, judged)) for sentence in judged.said]
    total = sum(weight for weight, _ in weighed)
    return sum(weight * support for weight, support in weighed) / total if total else 0.0


def coherence(judged: Judged) -> float | None:
    """Return the share of distinct three-word runs, times that of distinct sentences, times 0.7 + 0.3 of the shape.

    Shape: share of the sentences that begin with a letter or digit in no lower case and end with a final mark; list
    items need neither.
    """
    if not judged.said:
        return 0.0
    said = words(judged.whole.text)
    runs = [tuple(said[at : at + _RUN]) for at in range(len(said) - _RUN + 1)]
    distinct_runs = len(set(runs)) / len(runs) if runs else 1.0
    repeated = Counter(sentence.text.casefold() for sentence in judged.said)
    shaped = sum(_shaped(sentence.text) for sentence in judged.said) / len(judged.said)
    return distinct_runs * (len(repeated) / len(judged.said)) * (1.0 - SHAPE_WEIGHT + SHAPE_WEIGHT * shaped)


def policy_compliance(judged: Judged) -> float:
    """Return 0 for an empty answer or one with the canary in any spelling, 0.5 for words of the prompt, else 1."""
    text = judged.whole.text
    if not any(map(str.isalnum, text)) or gives_away(text, judged.answer.canary):
        return 0.0
    return LEAK_SCORE if _LEAKS.search(text) else 1.0


def context_overlap(judged: Judged) -> float | None:
    """Return the share of the answer's neighbouring word pairs that stand so in a passage: how far it is quoted.

    No score without passages, for an answer that declines, and for one of a single word.
    """
    said = _pairs(judged.whole.text)
    if not judged.passages or judged.declines or not said:
        return None
    return _share(said, frozenset().union(*(_pairs(passage.text) for passage in judged.passages)))


def answerability(judged: Judged) -> float:
    """Return how likely the passages hold the answer.

    The largest of their relevance and of the squared shares of the question's words in them; 0 without passages.
    """
    shares = (_share(judged.question.words, passage.words) ** 2 for passage in judged.passages)
    relevances = (chunk.relevance for chunk in judged.answer.chunks if chunk.kept)
    return min(1.0, max((*shares, *relevances), default=0.0))


def length_sanity(judged: Judged) -> float:
    """Return 1 up to 400 words, then 400 / words."""
    return min(1.0, LONGEST_SANE / max(1, len(words(judged.whole.text))))


def _closest(sentence: Part, judged: Judged) -> frozenset[str]:
    """Return the words of the passage a sentence draws on; none when no passage holds half of its words."""
    best = max(judged.passages, key=lambda passage: _share(sentence.words, passage.words), default=None)
    if best is None or not sentence.words or _share(sentence.words, best.words) < _CLOSEST:
        return frozenset()
    return best.words


def _support(sentence: Part, judged: Judged) -> float:
    stated = frozenset(word for word in sentence.words if not word[0].isdigit())
    needed = (stated - judged.question.words) or stated
    foreign = sentence.numbers - judged.question.numbers
    holders = [passage for passage in judged.passages if foreign <= passage.numbers]
    if not needed:
        return 1.0 if holders else 0.0
    return max((_share(needed, passage.words) for passage in holders), default=0.0)


def _share(part: frozenset[object], whole: AbstractSet[object]) -> float:
    return len(part & whole) / len(part) if part else 0.0


@lru_cache(maxsize=1024)  # passages come back with every question they are near to
def _pairs(text: str) -> frozenset[tuple[str, str]]:
    said = words(text)
    return frozenset(pairwise(said))


def _shaped(sentence: str) -> bool:
    if _ITEM.match(sentence):
        return True
    begin = _BEGINS.match(sentence)
    return begin is not None and not begin.group()[-1].islower() and _ENDS.search(sentence) is not None
