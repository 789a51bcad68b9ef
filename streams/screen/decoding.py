"""What a text says once it is decoded: base64, base32, hex, binary, URL, entities, rot13, reversed, Morse, leetspeak and more.

Every finder is linear in the length of its text; depth, number and size of the views are bounded, so a bomb of nested codes costs no more
than a long text.
"""

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from streams.screen.folding import folded, unscrambled, unspaced
from streams.screen.letters import unleeted, unmirrored, unrotated

MOST_VIEWS = 16
MOST_DEPTH = 3
MOST_CHARS = 20_000
_LEAST_CHARS = 8
_PRINTABLE_SHARE = 0.9
_LEAST_SIGNS = 3

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BASE32 = re.compile(r"[A-Z2-7]{24,}={0,6}")
_HEX = re.compile(r"(?:(?:\\x|0x|%)?[0-9A-Fa-f]{2}[\s:,-]?){8,}")
_HEX_PAIR = re.compile(r"[0-9A-Fa-f]{2}(?![0-9A-Fa-f]x)")
_BINARY = re.compile(r"(?:[01]{8}[\s,]?){6,}")
_DECIMAL = re.compile(r"(?:\b\d{2,3}\b[\s,;]{1,2}){7,}\d{2,3}\b")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ENTITY = re.compile(r"&#?\w{2,8};")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})")
_ENTITIES = re.compile(r"(?:&#?\w{2,8};\s?){8,}")
_ESCAPES = re.compile(r"(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}){8,}")
_MORSE = re.compile(r"(?:[.\-·−]{1,6}[ /|]{1,3}){6,}[.\-·−]{1,6}")

_MORSE_CODE = dict(
    zip(
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
        "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(),
        "abcdefghijklmnopqrstuvwxyz0123456789",
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a text, folded; `path` names the codes that were undone, outermost first."""

    text: str
    path: tuple[str, ...]


def views(text: str) -> Sequence[View]:
    """Return the text itself, folded, and what is encoded in it."""
    found = [View(folded(text), ())]
    seen = {found[0].text}
    waiting: list[tuple[str, tuple[str, ...]]] = [(text, ())]
    spent = 0
    while waiting and len(found) < MOST_VIEWS:
        whole, path = waiting.pop(0)
        for code, said in _decoded(whole, found[0].text if not path else folded(whole)):
            view = View(folded(said[:MOST_CHARS]), (*path, code))
            spent += len(view.text)
            if len(view.text) < _LEAST_CHARS or view.text in seen:
                continue
            if spent > MOST_CHARS or len(found) >= MOST_VIEWS:
                return found
            seen.add(view.text)
            found.append(view)
            if len(view.path) < MOST_DEPTH:
                waiting.append((said[:MOST_CHARS], view.path))
    return found


def _decoded(raw: str, plain: str) -> Iterator[tuple[str, str]]:
    for code, pattern, decode in _RUNS:
        said = " ".join(filter(None, (decode(run) for run in pattern.findall(raw)[:MOST_VIEWS])))
        if said:
            yield code, said
    if len(_PERCENT.findall(raw)) >= _LEAST_SIGNS:
        yield "url", unquote(raw.replace("+", " "), errors="ignore")
    if len(_ENTITY.findall(raw)) >= _LEAST_SIGNS:
        yield "entities", html.unescape(raw)
    if len(_ESCAPE.findall(raw)) >= _LEAST_SIGNS:
        yield "escapes", _unescaped(raw)
    bounded = plain[:MOST_CHARS]
    others = {
        "rot13": unrotated(bounded),
        "reversed": unmirrored(bounded),
        "leetspeak": unleeted(bounded),
        "spaced": unspaced(raw),
        "scrambled": unscrambled(plain),
    }
    yield from ((code, said) for code, said in others.items() if said)


def _base64(run: str) -> str | None:
    bare = run.rstrip("=").replace("-", "+").replace("_", "/")
    if len(bare) % 4 == 1:
        bare = bare[:-1]
    try:
        return _readable(base64.b64decode(bare + "=" * (-len(bare) % 4)))
    except (binascii.Error, ValueError):
        return None


def _base32(run: str) -> str | None:
    bare = run.rstrip("=")
    bare = bare[: len(bare) // 8 * 8] if len(bare) % 8 in {1, 3, 6} else bare
    try:
        return _readable(base64.b32decode(bare + "=" * (-len(bare) % 8)))
    except (binascii.Error, ValueError):
        return None


def _hex(run: str) -> str | None:
    bare = re.sub(r"\\x|0x|[^0-9A-Fa-f]", "", run)
    return _readable(bytes.fromhex(bare[: len(bare) // 2 * 2]))


def _binary(run: str) -> str | None:
    bits = re.sub(r"[^01]", "", run)
    return _readable(bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) // 8 * 8, 8)))


def _decimal(run: str) -> str | None:
    numbers = [int(number) for number in re.findall(r"\d+", run)]
    return _readable(bytes(numbers)) if max(numbers) < 256 else None  # noqa: PLR2004 - bytes


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found.group(1) or found.group(2), 16)), text)


def _morse(run: str) -> str | None:
    signs = run.replace("·", ".").replace("−", "-")
    words = re.split(r"\s*[/|]\s*|\s{3,}", signs)
    said = " ".join("".join(_MORSE_CODE.get(sign, "") for sign in word.split()) for word in words)
    return said.strip() or None


def _readable(decoded: bytes) -> str | None:
    """Return the text if it is one: UTF-8 and nearly all of it printable."""
    text = decoded.decode("utf-8", "replace")
    if not text or "\x00" in text:
        return None
    printable = sum(character.isprintable() or character in "\n\r\t" for character in text) - text.count("\ufffd")
    return text if printable >= _PRINTABLE_SHARE * len(text) else None


_RUNS: Sequence[tuple[str, re.Pattern[str], Callable[[str], str | None]]] = (
    ("base64", _BASE64, _base64),
    ("base32", _BASE32, _base32),
    ("hex", _HEX, _hex),
    ("binary", _BINARY, _binary),
    ("decimal", _DECIMAL, _decimal),
    ("morse", _MORSE, _morse),
    ("entities", _ENTITIES, html.unescape),
    ("escapes", _ESCAPES, _unescaped),
)
