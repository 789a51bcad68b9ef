"""Program: language analysis, in a process of its own. Every call names its operations, in order."""

from collections.abc import Callable, Mapping
from dataclasses import asdict

import orjson

from streams.clients.language.operations import Draft
from streams.clients.language.reading import Reading
from streams.clients.serving import serve
from streams.errors import ModelMissing


def load() -> Callable[[Mapping[str, str]], bytes]:
    """Return what analyses. Raises ImportError, RuntimeError."""
    from streams.clients.language.identification import identified  # noqa: PLC0415 - what is missing is an answer
    from streams.clients.language.readers import Spacy, spacy_folder  # noqa: PLC0415 - as above

    folder = spacy_folder()
    reading = Reading(english=Spacy(folder) if folder is not None else None, identify=identified)
    try:
        reading.load()
    except ModelMissing as error:
        raise RuntimeError(error.message) from error
    return lambda asked: written(reading.read(asked["text"], list(filter(None, asked["operations"].split(",")))))


def written(draft: Draft) -> bytes:
    """Return an analysis as JSON."""
    return orjson.dumps(
        {
            "language": draft.language,
            "sentences": list(draft.sentences),
            "tokens": [asdict(token) for token in draft.tokens],
            "entities": [asdict(entity) for entity in draft.entities],
            "model": draft.model,
            "findings": draft.findings,
        }
    )


if __name__ == "__main__":
    serve(load)
