"""The corpus as the screen sees it: views, evidence of the rules, and vectors of every window, each computed once."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streams.clients.minilm import MiniLm
from streams.screen.decoding import View, views
from streams.screen.folding import conceals, latin
from streams.screen.patterns import Evidence, Rules, built_in
from streams.screen.scoring import Array, Model, Scores, scores
from streams.screen.screening import MOST_WINDOWS, pieces_of
from streams.screen.wording import hashed
from streams.settings import EmbedSettings
from tests.screening.generate import Labelled

BATCH = 256


@dataclass(frozen=True, slots=True)
class Seen:
    """One view of one text; `words` has the slots of every window, `vectors` a row for each that can be encoded."""

    evidence: Evidence
    decoded: bool
    words: tuple[tuple[int, ...], ...]
    vectors: Array


@dataclass(frozen=True, slots=True)
class Prepared:
    """One text of the corpus with its views."""

    labelled: Labelled
    seen: tuple[Seen, ...]
    concealed: bool

    def scored(self, model: Model) -> Sequence[Scores]:
        """Return what the layers of a model say of each view."""
        return [
            scores(
                seen.evidence,
                [tuple(row) for row in seen.vectors.tolist()],
                seen.words,
                decoded=seen.decoded,
                concealed=self.concealed,
                model=model,
            )
            for seen in self.seen
        ]


def prepared(texts: Sequence[Labelled], cache_dir: Path | None = None) -> Sequence[Prepared]:
    """Return the texts with everything the layers need."""
    rules = Rules(built_in()[1])
    found = [views(text.text) for text in texts]
    matrix = _encoded([piece for each in found for view in each for piece in _encodable(view)], cache_dir)
    ready: list[Prepared] = []
    at = 0
    for text, each in zip(texts, found, strict=True):
        seen: list[Seen] = []
        for view in each:
            own = matrix[at : at + len(_encodable(view))]
            at += len(own)
            words = tuple(hashed(piece) for piece in pieces_of(view.text))
            seen.append(Seen(rules.evidence(view.text), bool(view.path), words, own))
        ready.append(Prepared(text, tuple(seen), conceals(text.text)))
    return ready


def _encodable(view: View) -> Sequence[str]:
    return pieces_of(view.text)[:MOST_WINDOWS] if latin(view.text) else ()


def _encoded(pieces: Sequence[str], cache_dir: Path | None) -> Array:
    with tempfile.TemporaryDirectory() as thrown_away:
        encoder = MiniLm(EmbedSettings(threads=2), cache_dir or Path(thrown_away))
        rows = [row for start in range(0, len(pieces), BATCH) for row in encoder.vectors(pieces[start : start + BATCH])]
    return np.asarray(rows, dtype=np.float32)
