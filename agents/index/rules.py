"""How a document becomes passages: by headings, then at paragraphs, else sentences, else white space, else at the limit."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.index import structure
from schemas.records import Invalidation, KnowledgeDocument
from streams.errors import RecordInvalid
from streams.ports import StoredChunk, Vector
from streams.settings import IndexSettings
from streams.words import sentences

LONGEST_ID = 256
LONGEST_TITLE = 500
MEDIA_TYPES = ("text/plain", "text/markdown", "text/html")
_VERSION_LETTERS = 16
_PARAGRAPH = re.compile(r"(?:.+\n?)+(?:\s*\n)?|\s+")
_RUN = re.compile(r"\s*\S+\s*|\s+")


@dataclass(frozen=True, slots=True)
class Part:
    """A passage and what it is about: the title of its document and the headings it stands under."""

    title: str
    text: str


def passages(document: KnowledgeDocument, settings: IndexSettings) -> Sequence[Part]:
    """Return the passages of a document, in order; none for an empty document, which thereby is forgotten.

    Raises:
        RecordInvalid: an id or a media type that cannot be stored.
    """
    if not 1 <= len(document.document_id) <= LONGEST_ID:
        raise RecordInvalid(f"document_id must have 1 to {LONGEST_ID} characters, not {len(document.document_id):,}")
    if document.media_type not in MEDIA_TYPES:
        raise RecordInvalid(f"media_type must be one of {', '.join(MEDIA_TYPES)}, not {document.media_type[:40]!a}")
    sections = list(_sections(document))
    found = [
        Part(_title(document.title, section.headings), text)
        for section in sections
        for text in split(section.text, settings.chunk_chars)
    ]
    if not found and (headings := " ".join(heading for section in sections for heading in section.headings)):
        found = [Part(document.title, text) for text in split(headings, settings.chunk_chars)]
    return tuple(found)


def _sections(document: KnowledgeDocument) -> Iterator[structure.Section]:
    if document.media_type == "text/html":
        return structure.of_html(document.text)
    if document.media_type == "text/markdown":
        return structure.of_markdown(document.text)
    return iter([structure.Section((), document.text)])


def _title(title: str, headings: Sequence[str]) -> str:
    """Return title and headings, those that only repeat the one before left out."""
    path = [title] if title else []
    for heading in headings:
        if not path or heading.casefold() != path[-1].casefold():
            path.append(heading)
    return " > ".join(path)[:LONGEST_TITLE]


def split(text: str, limit: int) -> Sequence[str]:
    """Return pieces of at most `limit` characters that hold everything but the white space between them, in order.

    Neighbouring paragraphs share a piece while they fit; what does not fit alone is divided at the next finer level.
    """
    return tuple(_pieces(text, limit, (_paragraphs, sentences, _runs)))


def texts_to_embed(passages: Sequence[Part]) -> Sequence[str]:
    """Return what is embedded for each passage: title and headings belong to its meaning."""
    return [f"{passage.title}\n{passage.text}" if passage.title else passage.text for passage in passages]


def chunks(document: KnowledgeDocument, passages: Sequence[Part], vectors: Sequence[Vector]) -> Sequence[StoredChunk]:
    """Return the passages as the store keeps them, under ids that are the same every time."""
    return [
        StoredChunk(
            chunk_id=f"{document.document_id}#{position}",
            document_id=document.document_id,
            title=passage.title,
            text=passage.text,
            domain=document.domain,
            tenant=document.tenant,
            position=position,
            vector=vector,
        )
        for position, (passage, vector) in enumerate(zip(passages, vectors, strict=True))
    ]


def updated(document: KnowledgeDocument) -> Invalidation:
    """Tell caches that a document has a new content; its version is the hash of title and text."""
    content = f"{document.title}\0{document.text}".encode()
    return Invalidation(
        subject=f"document:{document.document_id}",
        version=hashlib.sha256(content).hexdigest()[:_VERSION_LETTERS],
        reason="updated",
        at=document.updated_at,
    )


def deleted(document_id: str, at: datetime) -> Invalidation:
    """Tell caches that a document is gone."""
    return Invalidation(subject=f"document:{document_id}", version="none", reason="deleted", at=at)


def _pieces(text: str, limit: int, levels: Sequence[Callable[[str], Sequence[str]]]) -> Iterator[str]:
    whole = text.strip()
    if len(whole) <= limit:
        if whole:
            yield whole
        return
    if not levels:
        yield from (whole[at : at + limit] for at in range(0, len(whole), limit))
        return
    level, *finer = levels
    held = ""
    for part in level(text):
        if len((held + part).strip()) <= limit:
            held += part
            continue
        yield from _pieces(held, limit, ())
        held = ""
        if len(part.strip()) <= limit:
            held = part
        else:
            yield from _pieces(part, limit, finer)
    yield from _pieces(held, limit, ())


def _paragraphs(text: str) -> Sequence[str]:
    return _PARAGRAPH.findall(text)


def _runs(text: str) -> Sequence[str]:
    return _RUN.findall(text)
