"""Trains the arrays of the screen on the training part alone: `python -m tests.screening.train` writes streams/screen/model.npz.

The weights that join the layers and the threshold are fitted on scores of texts whose templates the layers had not seen (five folds by
template), so that they know how far each layer can be trusted on something new.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from streams.clients.minilm import MiniLm
from streams.screen import scoring
from streams.screen.scoring import Array, Model
from tests.screening.generate import ATTACK, FOLDS, TRAIN, Labelled, fold_of, read
from tests.screening.layers import balanced, classifier, classifier_of_some, wording
from tests.screening.vectors import Prepared, Seen, prepared

TARGET = Path(scoring.__file__).with_name("model.npz")
VERSION = "4"
FEATURES = 7
FALSE_ALARMS = 0.01  # share of harmless texts, unseen by their fold and mixed as traffic is, that may pass for attacks
# Families of harmless texts that were written to look like attacks, by their words or by their dress. One text in three of the mix is of
# them, far more than people ask.
NEAR_MISSES = frozenset(
    """
    about_injection agents chat code encoded ignoring instructions multi_turn passages roleplay rules security steps stylised
    """.split()
)
NEAR_MISS_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is taught: vectors and slots of windows, and vectors of sentences with the number of their text, each with labels.

    `word_share` is how much the slots of a window count: the more windows a template has, the less each of them.
    """

    vectors: Array
    labels: Array
    words: Sequence[Sequence[int]]
    word_labels: Array
    word_share: Array
    sentences: Array
    sentence_labels: Array
    texts: Array


@dataclass(frozen=True, slots=True)
class Judged:
    """A text and the features of its views by layers that had not seen its template."""

    labelled: Labelled
    views: Sequence[tuple[float, ...]]

    @property
    def attack(self) -> bool:
        return self.labelled.label == ATTACK

    @property
    def decisive(self) -> bool:
        return any(view[0] >= scoring.DECISIVE for view in self.views)

    def worst(self, weights: Array) -> float:
        return max(float(np.dot(weights[:-1], view)) for view in self.views) + float(weights[-1])

    def refused(self, weights: Array) -> bool:
        return self.decisive or self.worst(weights) >= 0


def taught(texts: Sequence[Prepared]) -> Lessons:
    """Return what is taught of the texts.

    Of an attack only what it was meant to say: the plain view, or for an encoded text what was decoded. In a long one nobody knows which
    window is the attack, so only its sentences are taught, of which one is. Of harmless texts everything.
    """
    vectors: list[Array] = []
    labels: list[float] = []
    words: list[Sequence[int]] = []
    word_labels: list[float] = []
    word_templates: list[str] = []
    sentences: list[Array] = []
    numbers: list[tuple[float, int]] = []
    for number, text in enumerate(texts):
        attack = float(text.labelled.label == ATTACK)
        for seen in text.seen:
            if attack and not _shows(text, seen):
                continue
            sentences.extend(seen.sentences)
            numbers.extend([(attack, number)] * len(seen.sentences))
            if attack and len(seen.words) > 1:
                continue
            vectors.extend(seen.windows)
            labels.extend([attack] * len(seen.windows))
            words.extend(seen.words)
            word_labels.extend([attack] * len(seen.words))
            word_templates.extend([text.labelled.template] * len(seen.words))
    sizes = Counter(word_templates)
    single = np.float32
    return Lessons(
        np.stack(vectors),
        np.asarray(labels, dtype=single),
        words,
        np.asarray(word_labels, dtype=single),
        np.asarray([sizes[template] ** -0.5 for template in word_templates], dtype=single),
        np.stack(sentences),
        np.asarray([label for label, _ in numbers], dtype=single),
        np.asarray([number for _, number in numbers]),
    )


def assembled(lessons: Lessons, weights: Array, seed: int) -> Model:
    """Return the arrays as the screen uses them, in the precision in which they are shipped."""
    worded = wording(lessons.words, lessons.word_labels, lessons.word_share)
    return Model(
        version=VERSION,
        encoder=MiniLm.name,
        windows=classifier(lessons.vectors, lessons.labels, seed),
        sentences=classifier_of_some(lessons.sentences, lessons.sentence_labels, lessons.texts, seed),
        wording=worded.weights,
        wording_bias=worded.bias,
        weights=weights,
    )


def judged(texts: Sequence[Prepared]) -> Sequence[Judged]:
    """Return the features of every text by layers that were taught the other folds."""
    found: list[Judged] = []
    nothing = np.zeros(FEATURES + 1, dtype=np.float32)
    for fold in range(FOLDS):
        partial = assembled(taught([one for one in texts if fold_of(one.labelled.template) != fold]), nothing, fold)
        unseen = (one for one in texts if fold_of(one.labelled.template) == fold)
        found += [Judged(one.labelled, [scoring.features(said) for said in one.scored(partial)]) for one in unseen]
    return found


def joined(rows: Sequence[Judged]) -> Array:
    """Return the weights of the features: a logistic regression on the worst view of every text, found anew in each round."""
    weights = np.array([3.0] * FEATURES + [-3.0])
    labels = np.array([row.attack for row in rows], dtype=np.float32)
    balance = balanced(labels)
    for _ in range(6):
        matrix = np.array([max(row.views, key=lambda view: float(np.dot(weights[:-1], view))) for row in rows])
        matrix = np.hstack([matrix, np.ones((len(matrix), 1))])
        for _ in range(400):
            slope = matrix.T @ ((1 / (1 + np.exp(-matrix @ weights)) - labels) * balance)
            slope[:-1] += 1e-4 * weights[:-1]
            weights = weights - 2.0 * slope
            weights[:-1] = np.maximum(weights[:-1], 0.0)  # no layer's alarm may lower the risk
    return weights


def raised(weights: Array, rows: Sequence[Judged]) -> Array:
    """Return the weights with the bias moved so that risk 0.5 is the threshold with FALSE_ALARMS, those of decisive rules among them."""
    harmless = [row for row in rows if not row.attack]
    sizes = Counter(row.labelled.family in NEAR_MISSES for row in harmless)
    shares = {near: (NEAR_MISS_SHARE if near else 1 - NEAR_MISS_SHARE) / size for near, size in sizes.items()}
    alarms = sorted(
        (
            (np.inf if row.decisive else row.worst(weights), shares[row.labelled.family in NEAR_MISSES])
            for row in harmless
        ),
        reverse=True,
    )
    passed = int(np.searchsorted(np.cumsum([share for _, share in alarms]), FALSE_ALARMS, side="right"))
    moved = weights.copy()
    moved[-1] -= (alarms[passed - 1][0] + alarms[passed][0]) / 2
    return np.asarray(moved, dtype=np.float32)


def trained_on(texts: Sequence[Prepared]) -> Model:
    """Return the model of the training part, and say how well its folds did."""
    rows = judged(texts)
    weights = raised(joined(rows), rows)
    for name, group in {
        "attacks refused": [row for row in rows if row.attack],
        "near misses refused": [row for row in rows if not row.attack and row.labelled.family in NEAR_MISSES],
        "other harmless texts refused": [
            row for row in rows if not row.attack and row.labelled.family not in NEAR_MISSES
        ],
    }.items():
        share = np.mean([row.refused(weights) for row in group])
        sys.stderr.write(f"unseen folds: {name} {share:.1%} of {len(group):,}\n")
    sys.stderr.write(f"weights {weights}\n")
    return replace(assembled(taught(texts), weights, FOLDS), weights=weights)


def written(model: Model, target: Path = TARGET) -> None:
    """Write the arrays; nothing in the file is code."""
    arrays: dict[str, Any] = {"wording": model.wording.astype(np.float16), "weights": model.weights}
    for name, layer in (("windows", model.windows), ("sentences", model.sentences)):
        arrays |= {
            f"{name}_hidden": layer.hidden.astype(np.float16),
            f"{name}_hidden_bias": layer.hidden_bias,
            f"{name}_output": layer.output,
            f"{name}_output_bias": np.float32(layer.output_bias),
        }
    np.savez_compressed(
        target,
        version=np.array(model.version),
        encoder=np.array(model.encoder),
        wording_bias=np.float32(model.wording_bias),
        **arrays,
    )


def _shows(text: Prepared, seen: Seen) -> bool:
    return seen.decoded or len(text.seen) == 1


if __name__ == "__main__":
    written(trained_on(prepared([text for text in read() if text.part == TRAIN])))
