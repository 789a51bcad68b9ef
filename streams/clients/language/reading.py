"""A text read: operations in order, with the reader of its language."""

from collections.abc import Callable, Sequence

from streams.clients.language.operations import UNKNOWN, Draft, Reader, operations
from streams.clients.language.readers import ENGLISH, Dictionaries, Spacy

Identify = Callable[[str], str]


class Reading:
    """Runs operations on texts. English without spaCy is read by dictionaries."""

    def __init__(self, *, english: Spacy | None, identify: Identify) -> None:
        self._english = english
        self._others: Reader = Dictionaries()
        self._identify = identify

    def load(self) -> None:
        """Load the models. Raises ModelMissing, ImportError."""
        self._identify("Ready.")
        if self._english is not None:
            self._english.load()

    def read(self, text: str, names: Sequence[str]) -> Draft:
        """Return what the operations have found."""
        draft = Draft(text, self._identify, self._reader)
        for name in names:
            operations()[name](draft)
        return draft

    def _reader(self, language: str) -> Reader:
        english = language in {ENGLISH, UNKNOWN}
        return self._english if english and self._english is not None else self._others
