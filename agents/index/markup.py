"""The text of an HTML page, in time proportional to its length whatever the page is (`html.parser` is quadratic)."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading begins, or ends when the level is 0."""

    level: int


_PART = re.compile(r"<!--|<[^<>]*>|[^<]+|<")
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)")
_BLOCKS = frozenset(
    """
    address article aside blockquote br dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr li main ol p
    pre section table td th title tr ul
    """.split()  # noqa: SIM905 - a list of words reads best as words
)
_HEADING = re.compile(r"h[1-6]")
_SILENT = frozenset({"script", "style", "template", "noscript"})


def plain_text(page: str) -> str:
    """Return what a reader of the page sees, blocks as paragraphs; broken markup is read as well as it can be."""
    return html.unescape("".join(part for part in seen(page) if isinstance(part, str)))


def seen(page: str) -> Iterator[str | Heading]:
    """Yield the text a reader sees, entities unread, and where headings begin and end."""
    waits_for = ""  # what ends the part that is not shown
    for part in _PART.findall(page):
        if waits_for == "-->":
            _, ended, part = part.partition("-->")  # noqa: PLW2901 - what follows a comment is shown
            waits_for = "" if ended else waits_for
        elif waits_for:
            waits_for = "" if part.lower().startswith(waits_for) else waits_for
            continue
        tag = _TAG.match(part)
        if part == "<!--":
            waits_for = "-->"
        elif tag is None:
            yield "" if part.startswith(("<!", "<?")) else part
        elif (name := tag.group(1).lower()) in _SILENT and not part.startswith("</"):
            waits_for = f"</{name}"
        elif name in _BLOCKS:
            yield "\n\n"
            if _HEADING.fullmatch(name):
                yield Heading(0 if part.startswith("</") else int(name[1]))
