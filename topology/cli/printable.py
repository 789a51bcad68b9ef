"""Text that came from elsewhere, made safe to print: a terminal obeys control characters, a person is fooled by reordering ones."""

import json
import re

# C0 but for tab and newline, DEL, C1, marks that change the direction of text, line separators, byte order mark, surrogates, tags
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str, *, longest: int | None = None) -> str:
    """Return text with what a terminal would obey written as an escape, cut after `longest` characters."""
    left_out = 0 if longest is None else len(text) - longest
    shown = _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text[:longest])
    return f"{shown}... ({left_out:,} more characters)" if left_out > 0 else shown


def printable_json(text: str) -> str:
    """Return JSON text of the same value in which every character can be printed."""
    return _UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def one_line(text: str, *, longest: int) -> str:
    """Return text on one line of a table."""
    joined = " ".join(text[: longest * 4].split())
    return printable(joined) if len(joined) <= longest else f"{printable(joined[: longest - 3])}..."


def hexdump(content: bytes, *, most: int) -> str:
    """Return the first bytes as rows of offset, hexadecimal and ASCII."""
    rows = (content[at : at + 16] for at in range(0, min(len(content), most), 16))
    return "\n".join(
        f"{at * 16:06x}  {row.hex(' '):<47}  {''.join(chr(c) if 32 <= c < 127 else '.' for c in row)}"  # noqa: PLR2004 - ASCII
        for at, row in enumerate(rows)
    )
