"""The words of a text as numbers: its short runs of word stems and of concepts, hashed. Needs no encoder and knows every script."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from zlib import crc32

from streams.screen.concepts import UNSPACED, concept_of

SLOTS = 1 << 18
_STEM_CHARS = 6
_START = "^"
_REACH = 6  # words between which two concepts belong together
_PARTNERS = 4

# One character is one token in scripts that write no spaces between words, but for words with a concept.
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"
# The vowel signs of Devanagari are no letters to `re`.
_TOKEN = re.compile(rf"(?:[^\W_{_UNSPACED}]|[\u0900-\u0963\u0966-\u097f])+|[^\w\s]|{'|'.join(UNSPACED)}|[{_UNSPACED}]")


def hashed(text: str) -> tuple[int, ...]:
    """Return the slots, below SLOTS and each once, of the runs of stems and of concepts.

    Runs have one to three stems, or two with one between them; then the same with concepts in place of words, and pairs of concepts
    that stand near each other.
    """
    words = list(_words(text))
    stems = [_START, *(mark + word[:_STEM_CHARS] for mark, word in words)]
    concepts = [_concept(mark, word) for mark, word in words]
    runs = {*_of_stems(stems), *_of_concepts(stems[1:], concepts)}
    return tuple(sorted({crc32(run.encode("utf-8", "replace")) % SLOTS for run in runs}))


def _of_stems(stems: Sequence[str]) -> Iterator[str]:
    yield from stems[1:]
    yield from (f"{first} {second}" for first, second in pairwise(stems))
    for first, second, third in zip(stems, stems[1:], stems[2:], strict=False):
        yield f"{first} {second} {third}"
        yield f"{first} * {third}"


def _of_concepts(stems: Sequence[str], concepts: Sequence[str | None]) -> Iterator[str]:
    read = [concept or stem for stem, concept in zip(stems, concepts, strict=True)]
    yield from (f"{first}_{second}" for first, second in pairwise(read))
    yield from (f"{first}_{second}_{third}" for first, second, third in zip(read, read[1:], read[2:], strict=False))
    found = [(place, concept) for place, concept in enumerate(concepts) if concept]
    for number, (place, concept) in enumerate(found):
        yield concept
        for other_place, other in islice(found, number + 1, number + 1 + _PARTNERS):
            if other_place - place <= _REACH:
                yield f"{concept}~{other}"
                yield "&".join(sorted((concept, other)))
    for (_, first), (_, second), (_, third) in zip(found, found[1:], found[2:], strict=False):
        yield f"{first}={second}={third}"


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Yield the words, each with a mark if it stands between quotation marks: who quotes an attack is no attacker."""
    for number, part in enumerate(text.split('"')):
        mark = '"' * (number % 2)
        yield from ((mark, token) for token in _TOKEN.findall(part))


def _concept(mark: str, word: str) -> str | None:
    concept = concept_of(word)
    return f"{mark}#{concept}" if concept else None
