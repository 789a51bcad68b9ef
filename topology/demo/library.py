"""The knowledge that ships with the demo: short passages of our own wording, and questions to measure retrieval by."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from schemas.records import Domain, KnowledgeDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A question and the one document that answers it."""

    question: str
    document_id: str


def documents(updated_at: datetime) -> Sequence[KnowledgeDocument]:
    """Return the library, domain by domain."""
    return [
        KnowledgeDocument(
            document_id=passage["id"],
            title=passage["title"],
            text=passage["text"],
            domain=Domain(passage["domain"]),
            source_uri=f"library:{domain}/{passage['id']}",
            updated_at=updated_at,
        )
        for domain in Domain
        for passage in _read(domain.value)
    ]


def labelled() -> Sequence[Labelled]:
    """Return the questions that measure retrieval."""
    return [Labelled(**row) for row in _read("questions")]


def _read(name: str) -> Sequence[dict[str, str]]:
    text = resources.files(__package__).joinpath("library", f"{name}.json").read_text(encoding="utf-8")
    rows: Sequence[dict[str, str]] = json.loads(text)
    return rows
