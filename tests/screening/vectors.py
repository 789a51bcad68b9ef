"""The corpus as the screen sees it: views, evidence of the rules, words and vectors of every part, each computed once."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streams.clients.minilm import MiniLm
from streams.screen.decoding import View, views
from streams.screen.folding import conceals, latin
from streams.screen.patterns import Evidence, Rules, built_in
from streams.screen.scoring import Array, Model, Scores, read
from streams.screen.screening import MOST_WINDOWS
from streams.screen.windows import pieces_of, sentences_of
from streams.screen.wording import hashed
from streams.settings import EmbedSettings
from tests.screening.generate import Labelled

BATCH = 256


@dataclass(frozen=True, slots=True)
class Seen:
    """One view of one text; `words` has the slots of every window, `windows` and `sentences` a row for each that can be encoded."""

    evidence: Evidence
    decoded: bool
    words: tuple[tuple[int, ...], ...]
    windows: Array
    sentences: Array


@dataclass(frozen=True, slots=True)
class Prepared:
    """One text of the corpus with its views."""

    labelled: Labelled
    seen: tuple[Seen, ...]
    concealed: bool

    def scored(self, model: Model) -> Sequence[Scores]:
        """Return what all layers of a model say of each view."""
        said: list[Scores] = []
        for one in self.seen:
            scores = read(one.evidence, one.words, decoded=one.decoded, concealed=self.concealed, model=model)
            if len(one.windows):
                windows, sentences = model.windows.worst(one.windows), model.sentences.worst(one.sentences)
                scores = replace(scores, windows=windows, sentences=sentences)
            said.append(scores)
        return said


def prepared(texts: Sequence[Labelled], cache_dir: Path | None = None) -> Sequence[Prepared]:
    """Return the texts with everything the layers need."""
    rules = Rules(built_in()[1])
    found = [views(text.text) for text in texts]
    parts = {part for each in found for view in each for group in _encodable(view) for part in group}
    vectors = _encoded(sorted(parts), cache_dir)

    def seen(view: View) -> Seen:
        windows, sentences = (
            np.array([vectors[part] for part in group], dtype=np.float32) for group in _encodable(view)
        )
        words = tuple(hashed(piece) for piece in pieces_of(view.text))
        return Seen(rules.evidence(view.text), bool(view.path), words, windows, sentences)

    return [
        Prepared(text, tuple(seen(view) for view in each), conceals(text.text))
        for text, each in zip(texts, found, strict=True)
    ]


def _encodable(view: View) -> tuple[Sequence[str], Sequence[str]]:
    windows = pieces_of(view.text)[:MOST_WINDOWS] if latin(view.text) else []
    return windows, [sentence for window in windows for sentence in sentences_of(window)]


def _encoded(parts: Sequence[str], cache_dir: Path | None) -> dict[str, Array]:
    with tempfile.TemporaryDirectory() as thrown_away:
        encoder = MiniLm(EmbedSettings(threads=2), cache_dir or Path(thrown_away))
        rows = [row for start in range(0, len(parts), BATCH) for row in encoder.vectors(parts[start : start + BATCH])]
    return dict(zip(parts, np.asarray(rows, dtype=np.float32), strict=True))
