"""What can be found out about a text. An operation is a function that adds to a draft, registered under a name.

A package adds its own by an entry point of the group `forgestream.operations` that names a module which registers them; what has no field
in the record becomes a finding.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol

from schemas.records import Entity, Token
from streams.words import content_words, sentences, words

GROUP = "forgestream.operations"
MOST_TOKENS = 20_000
MOST_KEYWORDS = 10
MOST_RELATIONS = 1_000
UNKNOWN = "und"  # BCP 47: undetermined


@dataclass(frozen=True, slots=True)
class Relation:
    """What a sentence says of something, plainly: not asked, denied or supposed."""

    subject: str
    relation: str
    object: str
    sentence: str


class Reader(Protocol):
    """The model that reads one language, or any."""

    name: str

    def tokens(self, text: str, language: str) -> Sequence[Token]:
        """Return the tokens with lemma and part of speech; `X` where that is not known."""

    def entities(self, text: str) -> Sequence[Entity]:
        """Return the names; empty where the model knows none."""

    def relations(self, text: str) -> Sequence[Relation]:
        """Return what is said of what; empty where the model knows no grammar."""


@dataclass(slots=True)
class Draft:
    """An analysis in the making."""

    text: str
    identify: Callable[[str], str]
    reader: Callable[[str], Reader]
    language: str = UNKNOWN
    sentences: Sequence[str] = ()
    tokens: Sequence[Token] = ()
    entities: Sequence[Entity] = ()
    findings: list[str] = field(default_factory=list)
    model: str = ""


Operation = Callable[[Draft], None]
_OPERATIONS: dict[str, Operation] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register an operation under a name for the setting FORGESTREAM_ANALYSE_OPERATIONS."""

    def register(run: Operation) -> Operation:
        if name in _OPERATIONS:
            raise ValueError(f"there is an operation {name} already")
        _OPERATIONS[name] = run
        return run

    return register


def operations() -> Mapping[str, Operation]:
    """Return every operation by name, those of other packages too."""
    _load_others()
    return _OPERATIONS


@cache
def _load_others() -> None:
    for point in entry_points(group=GROUP):
        point.load()


@operation("language")
def _language(draft: Draft) -> None:
    draft.language = draft.identify(draft.text)


@operation("sentences")
def _sentences(draft: Draft) -> None:
    draft.sentences = [sentence.strip() for sentence in sentences(draft.text) if sentence.strip()]


@operation("tokens")
def _tokens(draft: Draft) -> None:
    reader = draft.reader(draft.language)
    draft.model = reader.name
    draft.tokens = reader.tokens(draft.text, draft.language)[:MOST_TOKENS]


@operation("entities")
def _entities(draft: Draft) -> None:
    draft.entities = draft.reader(draft.language).entities(draft.text)[:MOST_TOKENS]


@operation("relations")
def _relations(draft: Draft) -> None:
    found = [asdict(relation) for relation in draft.reader(draft.language).relations(draft.text)[:MOST_RELATIONS]]
    draft.findings.append(json.dumps({"operation": "relations", "relations": found}, ensure_ascii=False))


@operation("keywords")
def _keywords(draft: Draft) -> None:
    """Add the content words that come oftenest, as stems."""
    carrying = content_words(draft.text)
    counted = Counter(word for word in words(draft.text) if word in carrying)
    found = dict(counted.most_common(MOST_KEYWORDS))
    draft.findings.append(json.dumps({"operation": "keywords", "keywords": found}, ensure_ascii=False))
