"""The parts of a text that are judged each by itself: windows, so that an attack in a long text is seen, and sentences within them."""

import re

WINDOW_CHARS = 200
_LEAST_CHARS = 24  # of a sentence: a shorter one goes with its neighbour
_END = re.compile(r"(?<=[.!?;:])\s+|(?<=[。！？：；])|\n+")


def pieces_of(text: str) -> list[str]:
    """Return a text in pieces of at most WINDOW_CHARS, each begun at a space where there is one."""
    pieces: list[str] = []
    at = 0
    while at < len(text):
        end = min(len(text), at + WINDOW_CHARS)
        space = text.rfind(" ", at + WINDOW_CHARS // 2, end) if end < len(text) else -1
        end = space if space > 0 else end
        pieces.append(text[at:end].strip())
        at = end
    return [piece for piece in pieces if piece]


def sentences_of(piece: str) -> list[str]:
    """Return the sentences of a piece; what is too short to stand alone is joined."""
    sentences: list[str] = []
    for part in filter(None, map(str.strip, _END.split(piece))):
        if sentences and len(sentences[-1]) < _LEAST_CHARS:
            sentences[-1] += f" {part}"
        else:
            sentences.append(part)
    if len(sentences) > 1 and len(sentences[-1]) < _LEAST_CHARS:
        last = sentences.pop()
        sentences[-1] += f" {last}"
    return sentences or [piece]
