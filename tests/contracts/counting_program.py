"""Program: an analysis that finds the text itself and the number of texts it has been asked for."""

from collections.abc import Callable, Mapping
from itertools import count

from streams.clients.language.analysis_program import written
from streams.clients.language.operations import Draft
from streams.clients.language.readers import Dictionaries
from streams.clients.serving import serve


def load() -> Callable[[Mapping[str, str]], bytes]:
    numbers = count(1)

    def reply(asked: Mapping[str, str]) -> bytes:
        draft = Draft(asked["text"], lambda _: "en", lambda _: Dictionaries(), findings=[str(next(numbers))])
        draft.sentences = [asked["text"]]
        return written(draft)

    return reply


if __name__ == "__main__":
    serve(load)
