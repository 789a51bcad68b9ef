"""Which language a text is in (py3langid, 97 languages)."""

import threading

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from streams.clients.language.operations import UNKNOWN

LONGEST = 5_000  # characters looked at
LEAST_LETTERS = 3
CERTAIN = 0.5  # a word or two may be of any language

_lock = threading.Lock()
_loaded: list[LanguageIdentifier] = []


def identified(text: str) -> str:
    """Return the BCP 47 tag of the language, `und` when it does not show."""
    front = text[:LONGEST]
    if sum(map(str.isalpha, front)) < LEAST_LETTERS:
        return UNKNOWN
    with _lock:
        if not _loaded:
            _loaded.append(LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True))
        language, probability = _loaded[0].classify(front)
    return str(language) if probability >= CERTAIN else UNKNOWN
