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
from streams.screen.wording import SLOTS
from tests.screening.generate import ATTACK, FOLDS, TRAIN, fold_of, read
from tests.screening.vectors import Prepared, Seen, prepared

TARGET = Path(scoring.__file__).with_name("model.npz")
VERSION = "2"
UNITS = 24
STEPS = 300
RATE = 0.02
DECAY = 3e-3
WORDING_RATE = 0.1
WORDING_DECAY = 1e-5
NEAR_TWIN = 0.93  # of two examples nearer than this one is enough
FEATURES = 7
FALSE_ALARMS = 0.009  # share of harmless training texts, unseen by their fold, that the threshold lets pass for attacks


@dataclass(frozen=True, slots=True)
class Classifier:
    """The hidden layer and the output."""

    hidden: Array
    hidden_bias: Array
    output: Array
    output_bias: float


@dataclass(frozen=True, slots=True)
class Wording:
    """The weights of the slots and the bias."""

    weights: Array
    bias: float


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is taught: the vectors of windows and the slots of windows, each with its labels."""

    vectors: Array
    labels: Array
    words: Sequence[Sequence[int]]
    word_labels: Array


def classifier(vectors: Array, labels: Array, seed: int) -> Classifier:
    """Return one hidden layer trained by Adam on the weighted cross entropy, with weight decay."""
    chance = np.random.default_rng(seed)
    shapes = [(vectors.shape[1], UNITS), (UNITS,), (UNITS,), ()]
    weights = [chance.normal(0, 1 / np.sqrt(shape[0]) if shape else 1, shape).astype(np.float32) for shape in shapes]
    weights[1], weights[3] = np.zeros(UNITS, dtype=np.float32), np.zeros((), dtype=np.float32)
    first = [np.zeros(shape) for shape in shapes]
    second = [np.zeros(shape) for shape in shapes]
    balance = _balance(labels) / len(labels)
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


def wording(words: Sequence[Sequence[int]], labels: Array) -> Wording:
    """Return a logistic regression on slots, trained by Adam on the weighted cross entropy, with weight decay."""
    counts = np.array([len(slots) for slots in words])
    slot, row = np.concatenate([np.asarray(slots) for slots in words]), np.repeat(np.arange(len(words)), counts)
    share = (1 / np.sqrt(counts))[row]
    weights, first, second = (np.zeros(SLOTS + 1) for _ in range(3))
    balance = _balance(labels) / len(labels)
    for step in range(1, STEPS + 1):
        sums = np.bincount(row, weights[slot] * share, len(words)) + weights[-1]
        error = (1 / (1 + np.exp(-sums)) - labels) * balance
        slope = np.append(np.bincount(slot, error[row] * share, SLOTS) + WORDING_DECAY * weights[:-1], error.sum())
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * np.square(slope)
        stride = WORDING_RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weights = weights - stride * first / (np.sqrt(second) + 1e-8)
    return Wording(weights[:-1].astype(np.float32), float(weights[-1]))


def taught(texts: Sequence[Prepared]) -> Lessons:
    """Return what is taught of the texts.

    Of an attack only a view with one window: the plain one, or for an encoded text what was decoded. In a long text nobody knows which
    window is the attack. Of harmless texts everything.
    """
    rows: list[Array] = []
    words: list[Sequence[int]] = []
    labels: list[float] = []
    word_labels: list[float] = []
    for text in texts:
        attack = text.labelled.label == ATTACK
        for seen in text.seen:
            if attack and not (len(seen.words) == 1 and _shows(text, seen)):
                continue
            rows.extend(seen.vectors)
            labels.extend([float(attack)] * len(seen.vectors))
            words.extend(seen.words)
            word_labels.extend([float(attack)] * len(seen.words))
    single = np.float32
    return Lessons(np.stack(rows), np.asarray(labels, dtype=single), words, np.asarray(word_labels, dtype=single))


def examples(vectors: Array, labels: Array) -> Array:
    """Return the attacks among the vectors, near twins left out."""
    kept: list[Array] = []
    for vector in vectors[labels > 0]:
        if not kept or float((np.stack(kept) @ vector).max()) < NEAR_TWIN:
            kept.append(vector)
    return np.stack(kept)


def assembled(lessons: Lessons, weights: Array, seed: int) -> Model:
    """Return the arrays as the screen uses them, in the precision in which they are shipped."""
    trained, worded = classifier(lessons.vectors, lessons.labels, seed), wording(lessons.words, lessons.word_labels)
    half = np.float16
    return Model(
        version=VERSION,
        encoder=MiniLm.name,
        hidden=trained.hidden.astype(half).astype(np.float32),
        hidden_bias=trained.hidden_bias,
        output=trained.output,
        output_bias=trained.output_bias,
        wording=worded.weights.astype(half).astype(np.float32),
        wording_bias=worded.bias,
        examples=examples(lessons.vectors, lessons.labels).astype(half).astype(np.float32),
        weights=weights,
    )


def joined(rows: Sequence[tuple[Sequence[tuple[float, ...]], bool]]) -> Array:
    """Return the weights of the features: a logistic regression on the worst view of every text, found anew in each round."""
    weights = np.array([3.0] * FEATURES + [-3.0])
    labels = np.array([label for _, label in rows], dtype=float)
    balance = _balance(labels)
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
    """Return the weights with the bias moved so that risk 0.5 is the threshold with FALSE_ALARMS, those of decisive rules among them."""
    alarms = [np.inf if _decisive(views) else _worst(views, weights) for views, label in rows if not label]
    sums = sorted(alarms, reverse=True)
    allowed = int(FALSE_ALARMS * len(sums))
    moved = weights.copy()
    moved[-1] -= (sums[allowed - 1] + sums[allowed]) / 2
    return np.asarray(moved, dtype=np.float32)


def trained_on(texts: Sequence[Prepared]) -> Model:
    """Return the model of the training part."""
    nothing = np.zeros(FEATURES + 1, dtype=np.float32)
    rows: list[tuple[Sequence[tuple[float, ...]], bool]] = []
    for fold in range(FOLDS):
        unseen = [text for text in texts if fold_of(text.labelled.template) == fold]
        seen = [text for text in texts if fold_of(text.labelled.template) != fold]
        partial = assembled(taught(seen), nothing, fold)
        rows += [
            ([scoring.features(said) for said in text.scored(partial)], text.labelled.label == ATTACK)
            for text in unseen
        ]
    weights = raised(joined(rows), rows)
    caught = [_worst(views, weights) >= 0 or _decisive(views) for views, label in rows if label]
    alarms = [_worst(views, weights) >= 0 or _decisive(views) for views, label in rows if not label]
    sys.stderr.write(
        f"unseen folds: recall {np.mean(caught):.3f}, false alarms {np.mean(alarms):.4f}, weights {weights}\n"
    )
    return assembled(taught(texts), weights, FOLDS)


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
        wording=model.wording.astype(np.float16),
        wording_bias=np.float32(model.wording_bias),
        examples=model.examples.astype(np.float16),
        weights=model.weights,
    )


def _balance(labels: Array) -> Array:
    """Return weights with which attacks and harmless texts count alike, however many there are of each."""
    return np.asarray(np.where(labels > 0, 0.5 / labels.mean(), 0.5 / (1 - labels.mean())))


def _shows(text: Prepared, seen: Seen) -> bool:
    return seen.decoded or len(text.seen) == 1


def _decisive(views: Sequence[tuple[float, ...]]) -> bool:
    return any(view[0] >= scoring.DECISIVE for view in views)


def _worst(views: Sequence[tuple[float, ...]], weights: Array) -> float:
    return max(float(np.dot(weights[:-1], view)) for view in views) + float(weights[-1])


if __name__ == "__main__":
    written(trained_on(prepared([text for text in read() if text.part == TRAIN])))
