"""The sections of a document: what stands under one heading belongs together, and the headings above it say what it is about."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.index.markup import Heading, seen

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_LINKS = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKS = re.compile(r"[*_`]{1,3}")
LEVELS = 6


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document and the headings it stands under, outermost first."""

    headings: tuple[str, ...]
    text: str


def of_html(page: str) -> Iterator[Section]:
    """Yield the sections of an HTML page in order."""
    headings = [""] * LEVELS
    title: list[str] = []
    held: list[str] = []
    level = 0  # of the heading that is being read
    for part in seen(page):
        if not isinstance(part, Heading):
            (title if level else held).append(part)
            continue
        if part.level and not level:
            yield Section(_path(headings), html.unescape("".join(held)))
            held = []
        if level:
            headings[level - 1 :] = [" ".join(html.unescape("".join(title)).split())] + [""] * (LEVELS - level)
        title, level = [], part.level
    if level:  # a heading that never ended is text
        held += title
    yield Section(_path(headings), html.unescape("".join(held)))


def of_markdown(markdown: str) -> Iterator[Section]:
    """Yield the sections of a Markdown text in order; what looks like a heading inside a code fence is code."""
    headings = [""] * LEVELS
    held: list[str] = []
    fence = ""
    for line in markdown.splitlines(keepends=True):
        opened = _FENCE.match(line)
        if fence or opened:
            held.append(line)
            fence = _after(fence, opened.group(1) if opened else "")
            continue
        heading = _heading(line, held)
        if heading is None:
            held.append(line)
            continue
        level, title = heading
        yield Section(_path(headings), "".join(held))
        held = []
        headings[level - 1 :] = [title] + [""] * (LEVELS - level)
    yield Section(_path(headings), "".join(held))


def _heading(line: str, held: list[str]) -> tuple[int, str] | None:
    """Return level and title of a heading; of one that is underlined, the title is taken back from `held`."""
    found = _ATX.match(line.rstrip("\r\n"))
    if found is not None:
        return len(found.group(1)), _plain(found.group(2) or "")
    underline = _UNDERLINE.match(line.rstrip("\r\n"))
    is_title = bool(held) and bool(held[-1].strip()) and (len(held) == 1 or not held[-2].strip())
    if underline is None or not is_title:
        return None
    return 1 if underline.group(1).startswith("=") else 2, _plain(held.pop().strip())


def _after(fence: str, mark: str) -> str:
    """Return the fence that is open after a line with this mark at its begin."""
    if not fence:
        return mark
    return "" if mark.startswith(fence) else fence


def _path(headings: Sequence[str]) -> tuple[str, ...]:
    return tuple(heading for heading in headings if heading)


def _plain(title: str) -> str:
    return _MARKS.sub("", _LINKS.sub(r"\1", title)).strip()
