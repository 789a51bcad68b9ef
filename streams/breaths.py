"""How an answer begins to be spoken: the same for who speaks it whole and for who has its beginning spoken while it is written."""

import re
from collections.abc import Sequence

from streams.words import sentences

UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_PAUSE = re.compile(r"(?<=[,;:\u2013\u2014])\s")
_UNCERTAIN = re.compile(
    r"[`*_~|#\[\]<>\n\t]|\s\s|://|^\s*(?:[-+]|\d+[.)])\s"
)  # markup may need what is not written yet


def opening(sentence: str, most: int) -> Sequence[str]:
    """Cut the first breath where the sentence pauses anyway: it is heard while the rest of it is being spoken."""
    pauses = [found.start() for found in _PAUSE.finditer(sentence, most // 4, most)] if len(sentence) > most else []
    return [sentence[: pauses[-1]], sentence[pauses[-1] :].strip()] if pauses else [sentence]


def begun(written: str, *, first_chars: int, max_chars: int) -> str:
    """Return the first breath of an answer that is still being written; empty while it can still become another one.

    Args:
        written: the answer so far.
        first_chars: longer first sentences are cut where they pause before this.
        max_chars: the longest breath.
    """
    plain = written.lstrip()
    if _UNCERTAIN.search(plain) or UNSPEAKABLE.search(plain):
        return ""
    sentence, *more = sentences(plain) or [""]
    first, *rest = opening(sentence.rstrip(), first_chars)
    if not (more or rest) or len(first) > max_chars or not any(map(str.isalnum, first)):
        return ""
    return written[: len(written) - len(plain)] + first
