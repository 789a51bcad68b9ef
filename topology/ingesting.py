"""From files, pages and standard input to knowledge documents, whose ids are the same every time."""

import glob
import hashlib
import html
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from schemas.records import Domain, KnowledgeDocument
from streams.errors import PageUnavailable

STANDARD_INPUT = "-"
BY_ENDING = {
    ".txt": "text/plain",
    ".text": "text/plain",
    ".rst": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
}
LONGEST_SLUG = 60
LONGEST_TITLE = 300
_MAGIC = frozenset("*?[")
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
_HEADING = re.compile(r"^ {0,3}#[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document comes from. `place` is a path or an address; `uri` is the same however the place is written."""

    place: str
    uri: str

    @property
    def is_page(self) -> bool:
        """Whether it is read over HTTP."""
        return self.place.startswith(("http://", "https://"))

    @property
    def document_id(self) -> str:
        """Id of its document: readable, and the same every time."""
        return f"{_slug(unquote(self.uri))}-{hashlib.sha256(self.uri.encode()).hexdigest()[:12]}".lstrip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What is said of all documents of one command; None is found out."""

    domain: Domain = Domain.GENERAL
    tenant: str = "default"
    document_id: str | None = None
    title: str | None = None
    media_type: str | None = None


def sources(places: Sequence[str], *, existing: bool = True) -> Iterator[Source]:
    """Yield the sources of paths, globs, directories and addresses, each once; standard input has none.

    Args:
        places: as they were written.
        existing: False for what is to be deleted, which may be gone.

    Raises:
        PageUnavailable: a place is no file, or no file matches it.
    """
    seen: set[str] = set()
    for place in places:
        for source in _sources(place, existing=existing):
            if source.uri not in seen:
                seen.add(source.uri)
                yield source


def read_file(source: Source) -> tuple[str, str, datetime]:
    """Return text, media type and time of a file.

    Raises:
        PageUnavailable: it cannot be read, or is no text.
    """
    path = Path(source.place)
    try:
        content, changed = path.read_bytes(), path.stat().st_mtime
    except OSError as error:
        raise PageUnavailable(f"cannot be read ({error.strerror})") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise PageUnavailable("is not text in UTF-8; convert it to text, Markdown or HTML first")
    return text, BY_ENDING.get(path.suffix.lower(), "text/plain"), datetime.fromtimestamp(changed, UTC)


def document(
    source: Source | None, text: str, media_type: str, changed: datetime, choices: Choices
) -> KnowledgeDocument:
    """Return the document of a text.

    Raises:
        PageUnavailable: there is no text in it.
    """
    if not text.strip():
        raise PageUnavailable("is empty")
    media_type = choices.media_type or media_type
    place = source.place if source is not None else ""
    return KnowledgeDocument(
        document_id=choices.document_id or (source.document_id if source is not None else ""),
        title=choices.title or _title(text, media_type) or _named(place),
        text=text,
        domain=choices.domain,
        tenant=choices.tenant,
        media_type=media_type,
        source_uri=source.uri if source is not None else None,
        updated_at=changed,
    )


def _sources(place: str, *, existing: bool) -> Iterator[Source]:
    if place.startswith(("http://", "https://")):
        parts = urlsplit(place)
        yield Source(place, urlunsplit((parts.scheme, parts.netloc.lower(), parts.path or "/", parts.query, "")))
        return
    path = Path(place).expanduser()
    if path.is_dir():
        found = list(_inside(path))
    elif path.exists() or not existing:
        found = [path]
    elif _MAGIC & set(place):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())  # noqa: PTH207 - Path.glob takes no absolute pattern
    else:
        raise PageUnavailable(f"{place}: there is no such file")
    if not found:
        raise PageUnavailable(f"{place}: nothing to read there; known endings are {', '.join(BY_ENDING)}")
    for each in found:
        yield Source(str(each), each.resolve().as_uri())


def _inside(directory: Path) -> Iterator[Path]:
    """Yield the files of a directory whose ending is known, hidden ones left out."""
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in BY_ENDING:
                yield Path(folder) / name


def _title(text: str, media_type: str) -> str:
    found = {"text/html": _TITLE, "text/markdown": _HEADING}.get(media_type, re.compile(r"(?!)")).search(text)
    return " ".join(html.unescape(found.group(1)).split())[:LONGEST_TITLE] if found else ""


def _named(place: str) -> str:
    """Return a title made of the last part of a path or an address."""
    stem = Path(urlsplit(place).path).stem if "://" in place else Path(place).stem
    return " ".join(re.split(r"[-_\s]+", stem)).strip()[:LONGEST_TITLE] or place[:LONGEST_TITLE]


def _slug(place: str) -> str:
    return _SLUG.sub("-", _named(place).lower()).strip("-")[:LONGEST_SLUG]
