"""The corpus as the screen sees it: views, evidence of the rules, and vectors of every window, each computed once."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streams.clients.minilm import MiniLm
from streams.screen.decoding import views
from streams.screen.folding import conceals, latin
from streams.screen.patterns import Evidence, Rules, built_in
from streams.screen.scoring import Array
from streams.screen.screening import MOST_WINDOWS, pieces_of
from streams.settings import EmbedSettings
from tests.screening.generate import Labelled

BATCH = 256


@dataclass(frozen=True, slots=True)
class Seen:
    """One view of one text; `vectors` has a row per window."""

    evidence: Evidence
    decoded: bool
    vectors: Array


@dataclass(frozen=True, slots=True)
class Prepared:
    """One text of the corpus with its views."""

    labelled: Labelled
    seen: tuple[Seen, ...]
    concealed: bool


def prepared(texts: Sequence[Labelled], cache_dir: Path | None = None) -> Sequence[Prepared]:
    """Return the texts with everything the layers need."""
    rules = Rules(built_in()[1])
    found = [views(text.text) for text in texts]
    windows = [[pieces_of(view.text)[:MOST_WINDOWS] if latin(view.text) else [] for view in each] for each in found]
    matrix = _encoded([piece for each in windows for pieces in each for piece in pieces], cache_dir)
    ready: list[Prepared] = []
    at = 0
    for text, each, pieces_of_each in zip(texts, found, windows, strict=True):
        seen: list[Seen] = []
        for view, pieces in zip(each, pieces_of_each, strict=True):
            own = matrix[at : at + len(pieces)]
            at += len(pieces)
            seen.append(Seen(rules.evidence(view.text), bool(view.path), own))
        ready.append(Prepared(text, tuple(seen), conceals(text.text)))
    return ready


def _encoded(pieces: Sequence[str], cache_dir: Path | None) -> Array:
    with tempfile.TemporaryDirectory() as thrown_away:
        encoder = MiniLm(EmbedSettings(threads=2), cache_dir or Path(thrown_away))
        rows = [row for start in range(0, len(pieces), BATCH) for row in encoder.vectors(pieces[start : start + BATCH])]
    return np.asarray(rows, dtype=np.float32)
