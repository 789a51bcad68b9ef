"""An answer taken apart once, for all of its scores."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from schemas.records import Answer, Task
from streams.degradations import NO_CONTEXT
from streams.words import content_words, numbers, sentences, spelled_numbers

# How models and `extractive` say that the context does not hold the answer.
_DECLINES = re.compile(
    r"(context|passages?|text|sources?|documents?)\b.{0,40}\b"
    r"(holds? no|contains? no|(do(es)?|did) not (hold|contain|say|mention|provide|include|give|state|answer))"
    r"|(can(not|'t)|could not|couldn't|unable to) (be )?(answer|find|determine|say)"
    r"|(do(es)? not|don't) know\b|not (enough|sufficient) (context|information)|no answer (is|was|can be) (found|given)"
    r"|answer (is|was) not (in|given|found|provided|contained)",
    re.IGNORECASE | re.DOTALL,
)
_DECLINES_WITHIN = 240  # characters; a longer text says more than that it does not know


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A sentence or a passage: its content words and its numbers."""

    text: str
    words: frozenset[str]
    numbers: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Part":
        """Take a text apart."""
        return cls(text=text, words=content_words(text), numbers=numbers(text))


@lru_cache(maxsize=1024)  # passages come back with every question they are near to
def passage(text: str) -> Part:
    """Take a passage apart: it also holds the numbers it spells, so that `3` is supported by "three"."""
    return Part(text=text, words=content_words(text), numbers=numbers(text) | spelled_numbers(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the formulas compare."""

    answer: Answer
    question: Part
    whole: Part
    said: Sequence[Part]
    passages: Sequence[Part]
    declines: bool
    grounded: bool
    blind: bool

    @classmethod
    def of(cls, answer: Answer) -> "Judged":
        """Take an answer apart."""
        kept = [chunk for chunk in answer.chunks if chunk.kept]
        return cls(
            answer=answer,
            question=Part.of(answer.request.query),
            whole=Part.of(answer.text),
            said=[Part.of(sentence.strip()) for sentence in sentences(answer.text) if sentence.strip()],
            passages=[passage(f"{chunk.title}\n{chunk.text}") for chunk in kept],
            declines=declines(answer.text),
            grounded=grounded(answer),
            blind=blind(answer),
        )


def grounded(answer: Answer) -> bool:
    """Whether the task asks for an answer from passages."""
    return answer.request.task is not Task.GENERATION


def blind(answer: Answer) -> bool:
    """Whether nobody could look for passages; that none were found is another thing."""
    return NO_CONTEXT in answer.degradations


def declines(text: str) -> bool:
    """Whether a text says, and says only, that it holds no answer."""
    return len(text) <= _DECLINES_WITHIN and _DECLINES.search(text) is not None
