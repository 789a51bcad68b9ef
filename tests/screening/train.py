"""Trains the arrays of the screen on the training part alone: `python -m tests.screening.train` writes streams/screen/model.npz.

Plain numpy, fixed seeds. The weights that join the layers are fitted on scores of texts whose templates the classifier and the examples
had not seen (five folds by template), so that they know how far each layer can be trusted on something new.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streams.clients.minilm import MiniLm
from streams.screen import scoring
from streams.screen.scoring import Array, Model
from tests.screening.generate import ATTACK, TRAIN, read
from tests.screening.vectors import Prepared, Seen, prepared

TARGET = Path(scoring.__file__).with_name("model.npz")
VERSION = "1"
UNITS = 24
STEPS = 300
RATE = 0.02
DECAY = 3e-3
FOLDS = 5
NEAR_TWIN = 0.93  # of two examples nearer than this one is enough
FALSE_ALARMS = 0.006  # share of harmless training texts, unseen by their fold, that the threshold lets pass for attacks


@dataclass(frozen=True, slots=True)
class Classifier:
    """The hidden layer and the output."""

    hidden: Array
    hidden_bias: Array
    output: Array
    output_bias: float


def classifier(vectors: Array, labels: Array, seed: int) -> Classifier:
    """Return one hidden layer trained by Adam on the weighted cross entropy, with weight decay."""
    chance = np.random.default_rng(seed)
    shapes = [(vectors.shape[1], UNITS), (UNITS,), (UNITS,), ()]
    weights = [chance.normal(0, 1 / np.sqrt(shape[0]) if shape else 1, shape).astype(np.float32) for shape in shapes]
    weights[1], weights[3] = np.zeros(UNITS, dtype=np.float32), np.zeros((), dtype=np.float32)
    first = [np.zeros(shape) for shape in shapes]
    second = [np.zeros(shape) for shape in shapes]
    balance = np.where(labels > 0, 0.5 / labels.mean(), 0.5 / (1 - labels.mean())) / len(labels)
    for step in range(1, STEPS + 1):
        before = vectors @ weights[0] + weights[1]
        active = np.maximum(before, 0)
        error = (1 / (1 + np.exp(-(active @ weights[2] + weights[3]))) - labels) * balance
        back = np.outer(error, weights[2]) * (before > 0)
        slopes = [
            vectors.T @ back + DECAY * weights[0] / 10,
            back.sum(0),
            active.T @ error + DECAY * weights[2] / 10,
            error.sum(),
        ]
        for number, slope in enumerate(slopes):
            first[number] = 0.9 * first[number] + 0.1 * slope
            second[number] = 0.999 * second[number] + 0.001 * np.square(slope)
            stride = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            weights[number] = weights[number] - stride * first[number] / (np.sqrt(second[number]) + 1e-8)
    single = [np.asarray(weight, dtype=np.float32) for weight in weights]
    return Classifier(single[0], single[1], single[2], float(single[3]))


def taught(texts: Sequence[Prepared]) -> tuple[Array, Array]:
    """Return the vectors that are taught and their labels.

    Of an attack only a view with one window: the plain one, or for an encoded text what was decoded. In a long text nobody knows which
    window is the attack. Of harmless texts everything.
    """
    rows: list[Array] = []
    labels: list[float] = []
    for text in texts:
        attack = text.labelled.label == ATTACK
        chosen = [seen for seen in text.seen if not attack or (len(seen.vectors) == 1 and _shows(text, seen))]
        for seen in chosen:
            rows.extend(seen.vectors)
            labels.extend([float(attack)] * len(seen.vectors))
    return np.stack(rows), np.asarray(labels, dtype=np.float32)


def examples(vectors: Array, labels: Array) -> Array:
    """Return the attacks among the vectors, near twins left out."""
    kept: list[Array] = []
    for vector in vectors[labels > 0]:
        if not kept or float((np.stack(kept) @ vector).max()) < NEAR_TWIN:
            kept.append(vector)
    return np.stack(kept)


def assembled(trained: Classifier, known: Array, weights: Array) -> Model:
    """Return the arrays as the screen uses them, in the precision in which they are shipped."""
    half = np.float16
    return Model(
        version=VERSION,
        encoder=MiniLm.name,
        hidden=trained.hidden.astype(half).astype(np.float32),
        hidden_bias=trained.hidden_bias,
        output=trained.output,
        output_bias=trained.output_bias,
        examples=known.astype(half).astype(np.float32),
        weights=weights,
    )


def scored(text: Prepared, model: Model) -> Sequence[scoring.Scores]:
    """Return what the layers say of each view."""
    return [
        scoring.scores(
            seen.evidence,
            [tuple(row) for row in seen.vectors.tolist()],
            decoded=seen.decoded,
            concealed=text.concealed,
            model=model,
        )
        for seen in text.seen
        if len(seen.vectors)
    ]


def joined(rows: Sequence[tuple[Sequence[tuple[float, ...]], bool]]) -> Array:
    """Return the weights of the features: a logistic regression on the worst view of every text, found anew in each round."""
    weights = np.array([4.0, 1.0, 4.0, 2.0, 0.5, 0.5, -3.0])
    labels = np.array([label for _, label in rows], dtype=float)
    balance = np.where(labels > 0, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    for _ in range(6):
        matrix = np.array([max(views, key=lambda view: float(np.dot(weights[:-1], view))) for views, _ in rows])
        matrix = np.hstack([matrix, np.ones((len(matrix), 1))])
        for _ in range(400):
            slope = matrix.T @ ((1 / (1 + np.exp(-matrix @ weights)) - labels) * balance) / len(labels)
            slope[:-1] += 1e-4 * weights[:-1]
            weights = weights - 2.0 * slope
            weights[:-1] = np.maximum(weights[:-1], 0.0)  # no layer's alarm may lower the risk
    return weights


def raised(weights: Array, rows: Sequence[tuple[Sequence[tuple[float, ...]], bool]]) -> Array:
    """Return the weights with the bias moved so that risk 0.5 is the threshold with FALSE_ALARMS."""
    sums = sorted((_worst(views, weights) for views, label in rows if not label), reverse=True)
    allowed = int(FALSE_ALARMS * len(sums))
    moved = weights.copy()
    moved[-1] -= (sums[allowed] + sums[allowed + 1]) / 2 if allowed + 1 < len(sums) else sums[allowed]
    return np.asarray(moved, dtype=np.float32)


def trained_on(texts: Sequence[Prepared]) -> Model:
    """Return the model of the training part."""
    templates = sorted({text.labelled.template for text in texts})
    fold_of = {name: number % FOLDS for number, name in enumerate(np.random.default_rng(7).permutation(templates))}
    nothing = np.zeros(7, dtype=np.float32)
    rows: list[tuple[Sequence[tuple[float, ...]], bool]] = []
    for fold in range(FOLDS):
        vectors, labels = taught([text for text in texts if fold_of[text.labelled.template] != fold])
        partial = assembled(classifier(vectors, labels, fold), examples(vectors, labels), nothing)
        rows += [
            ([scoring.features(said) for said in scored(text, partial)], text.labelled.label == ATTACK)
            for text in texts
            if fold_of[text.labelled.template] == fold
        ]
    rows = [(views, label) for views, label in rows if views]
    weights = raised(joined(rows), rows)
    caught = [_worst(views, weights) >= 0 or _decisive(views) for views, label in rows if label]
    alarms = [_worst(views, weights) >= 0 or _decisive(views) for views, label in rows if not label]
    sys.stderr.write(
        f"unseen folds: recall {np.mean(caught):.3f}, false alarms {np.mean(alarms):.4f}, weights {weights}\n"
    )
    vectors, labels = taught(texts)
    return assembled(classifier(vectors, labels, FOLDS), examples(vectors, labels), weights)


def written(model: Model, target: Path = TARGET) -> None:
    """Write the arrays; nothing in the file is code."""
    np.savez_compressed(
        target,
        version=np.array(model.version),
        encoder=np.array(model.encoder),
        hidden=model.hidden.astype(np.float16),
        hidden_bias=model.hidden_bias,
        output=model.output,
        output_bias=np.float32(model.output_bias),
        examples=model.examples.astype(np.float16),
        weights=model.weights,
    )


def _shows(text: Prepared, seen: Seen) -> bool:
    return seen.decoded or len(text.seen) == 1


def _decisive(views: Sequence[tuple[float, ...]]) -> bool:
    return any(view[0] >= scoring.DECISIVE for view in views)


def _worst(views: Sequence[tuple[float, ...]], weights: Array) -> float:
    return max(float(np.dot(weights[:-1], view)) for view in views) + float(weights[-1])


if __name__ == "__main__":
    written(trained_on(prepared([text for text in read() if text.part == TRAIN])))
