"""The words of a text as numbers: which short runs of word stems it has, hashed. Needs no encoder and knows every script."""

import re
from collections.abc import Iterator
from itertools import pairwise
from zlib import crc32

SLOTS = 1 << 15
_STEM_CHARS = 6
_START = "^"

# One character is one token in scripts that write no spaces between words.
_TOKEN = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")


def hashed(text: str) -> tuple[int, ...]:
    """Return the slots, below SLOTS and each once, of all runs of one to three stems, and of pairs with one stem between them."""
    return tuple(sorted({crc32(run.encode("utf-8", "replace")) % SLOTS for run in _runs(text)}))


def _runs(text: str) -> Iterator[str]:
    stems = [_START, *_stems(text)]
    yield from stems[1:]
    yield from (f"{first} {second}" for first, second in pairwise(stems))
    for first, second, third in zip(stems, stems[1:], stems[2:], strict=False):
        yield f"{first} {second} {third}"
        yield f"{first} * {third}"


def _stems(text: str) -> Iterator[str]:
    """Yield the stems; one between quotation marks is another than the same one outside, as who quotes an attack is no attacker."""
    for number, part in enumerate(text.split('"')):
        mark = '"' * (number % 2)
        yield from (mark + token[:_STEM_CHARS] for token in _TOKEN.findall(part))
