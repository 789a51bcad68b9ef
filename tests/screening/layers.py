"""How the layers of the screen learn: Adam on the weighted cross entropy, plain numpy, fixed seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streams.screen.scoring import Array, Classifier
from streams.screen.wording import SLOTS

UNITS = 32
STEPS = 300
RATE = 0.02
DECAY = 1e-3
WORDING_RATE = 0.1
WORDING_DECAY = 1e-5
ROUNDS = 4
_ONE = np.float32
Numbers = np.ndarray[tuple[int, ...], np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Wording:
    """The weights of the slots and the bias."""

    weights: Array
    bias: float


class _Adam:
    """Moves some arrays against their slopes."""

    def __init__(self, arrays: Sequence[Numbers], rate: float) -> None:
        self.arrays = list(arrays)
        self._rate = rate
        self._first = [np.zeros_like(array) for array in arrays]
        self._second = [np.zeros_like(array) for array in arrays]
        self._step = 0

    def move(self, slopes: Sequence[Numbers]) -> None:
        self._step += 1
        stride = _ONE(self._rate * np.sqrt(1 - 0.999**self._step) / (1 - 0.9**self._step))
        for number, slope in enumerate(slopes):
            self._first[number] = _ONE(0.9) * self._first[number] + _ONE(0.1) * slope
            self._second[number] = _ONE(0.999) * self._second[number] + _ONE(0.001) * np.square(slope)
            shift = stride * self._first[number] / (np.sqrt(self._second[number]) + _ONE(1e-8))
            self.arrays[number] = self.arrays[number] - shift


def classifier(vectors: Array, labels: Array, seed: int, share: Array | None = None, steps: int = STEPS) -> Classifier:
    """Return one hidden layer; `share` says how much each vector counts within its label."""
    chance = np.random.default_rng(seed)
    width = vectors.shape[1]
    adam = _Adam(
        [
            chance.normal(0, 1 / np.sqrt(width), (width, UNITS)).astype(_ONE),
            np.zeros(UNITS, dtype=_ONE),
            chance.normal(0, 1 / np.sqrt(UNITS), UNITS).astype(_ONE),
            np.zeros(1, dtype=_ONE),
        ],
        RATE,
    )
    balance = balanced(labels, share)
    for _ in range(steps):
        hidden, hidden_bias, output, output_bias = adam.arrays
        before = vectors @ hidden + hidden_bias
        active = np.maximum(before, 0)
        error = (_sigmoid(active @ output + output_bias) - labels) * balance
        back = np.outer(error, output) * (before > 0)
        slopes = [vectors.T @ back + _ONE(DECAY) * hidden, back.sum(0), active.T @ error + _ONE(DECAY) * output]
        adam.move([*slopes, error.sum(keepdims=True)])
    hidden, hidden_bias, output, output_bias = adam.arrays
    half = hidden.astype(np.float16).astype(_ONE)  # the precision in which it is shipped
    return Classifier(half, hidden_bias, output, float(output_bias[0]))


def classifier_of_some(vectors: Array, labels: Array, texts: Array, seed: int) -> Classifier:
    """Return a classifier when of an attack only some vector is one, nobody knows which.

    In the first round all vectors of an attack count, later the one that the round before rated highest. Of harmless texts all count.
    """
    share = np.where(labels > 0, 1 / np.bincount(texts)[texts], 1).astype(_ONE)
    for number in range(ROUNDS):
        last = number == ROUNDS - 1
        counts = share > 0
        found = classifier(vectors[counts], labels[counts], seed, share[counts], STEPS if last else STEPS // 2)
        order = np.lexsort((-found.logits(vectors), texts))
        first = np.append(True, texts[order][1:] != texts[order][:-1])
        share = np.where(labels > 0, 0, 1).astype(_ONE)
        share[order[first]] = 1
    return found


def wording(words: Sequence[Sequence[int]], labels: Array, share: Array) -> Wording:
    """Return a logistic regression on slots; `share` says how much each window counts within its label."""
    counts = np.array([len(slots) for slots in words])
    slot, row = np.concatenate([np.asarray(slots) for slots in words]), np.repeat(np.arange(len(words)), counts)
    weight = (1 / np.sqrt(counts))[row]
    adam = _Adam([np.zeros(SLOTS), np.zeros(1)], WORDING_RATE)
    balance = balanced(labels, share)
    for _ in range(STEPS):
        weights, bias = adam.arrays
        error = (_sigmoid(np.bincount(row, weights[slot] * weight, len(words)) + bias) - labels) * balance
        slope = np.bincount(slot, error[row] * weight, SLOTS) + WORDING_DECAY * weights
        adam.move([slope, error.sum(keepdims=True)])
    weights, bias = adam.arrays
    return Wording(weights.astype(np.float16).astype(_ONE), float(bias[0]))


def balanced(labels: Array, share: Array | None = None) -> Array:
    """Return weights that add up to one, with which attacks and harmless texts count alike, however many there are of each."""
    counts = np.ones(len(labels), dtype=_ONE) if share is None else share
    attacks = labels > 0
    sums = np.where(attacks, counts[attacks].sum(), counts[~attacks].sum())
    return np.asarray(0.5 * counts / sums, dtype=_ONE)


def _sigmoid(values: Numbers) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))
