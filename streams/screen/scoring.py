"""The layers that are trained, on vectors and on words, and how all layers become one risk.

`tests/screening/train.py` trains them; they ship as plain arrays.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

import numpy as np

from streams.ports import Vector
from streams.screen.patterns import Evidence

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

LARGEST_LOGIT = 8.0
LARGEST_VECTOR_LOGIT = (
    5.0  # of a vector layer: surer than that it is not believed, so that other layers can decide without it
)
_LARGEST_EXPONENT = 700.0
DECISIVE = 0.75  # score of a rule that is enough by itself


@dataclass(frozen=True, slots=True)
class Classifier:
    """One hidden layer of rectified units on a vector."""

    hidden: Array
    hidden_bias: Array
    output: Array
    output_bias: float

    def logits(self, vectors: Array) -> Array:
        """Return the logit of each vector."""
        # not `@`: the threads of its BLAS wait for the next product for 40 ms, at full speed, after one of half a millisecond
        hidden = np.maximum(np.einsum("ij,jk->ik", vectors, self.hidden) + self.hidden_bias, 0.0)
        found: Array = hidden @ self.output + self.output_bias
        return found

    def worst(self, vectors: Sequence[Vector] | Array) -> float:
        """Return the highest probability of an attack that one of the vectors has."""
        return sigmoid(float(self.logits(np.asarray(vectors, dtype=np.float32)).max()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The arrays: a classifier of windows and one of sentences, a weight for each slot of `hashed`, one for each feature and the bias."""

    version: str
    encoder: str
    windows: Classifier
    sentences: Classifier
    wording: Array
    wording_bias: float
    weights: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What each layer says of one view, 0 to 1; vector layers are None when they were not asked."""

    rules: float
    quoted: float
    wording: float
    decoded: bool
    concealed: bool
    windows: float | None = None
    sentences: float | None = None


@lru_cache(maxsize=1)
def shipped() -> Model:
    """Return the arrays that ship with the program."""
    source = resources.files(__package__).joinpath("model.npz")
    with source.open("rb") as opened, np.load(opened, allow_pickle=False) as read:

        def classifier(name: str) -> Classifier:
            hidden, hidden_bias, output = (
                read[f"{name}_{part}"].astype(np.float32) for part in ("hidden", "hidden_bias", "output")
            )
            return Classifier(hidden, hidden_bias, output, float(read[f"{name}_output_bias"]))

        return Model(
            version=str(read["version"]),
            encoder=str(read["encoder"]),
            windows=classifier("windows"),
            sentences=classifier("sentences"),
            wording=read["wording"].astype(np.float32),
            wording_bias=float(read["wording_bias"]),
            weights=read["weights"].astype(np.float32),
        )


def worded(slots: Sequence[int], model: Model) -> float:
    """Return the logit of a window by the slots of its words; long windows weigh no more than short ones."""
    if not slots:
        return -LARGEST_LOGIT
    return float(model.wording[list(slots)].sum() / np.sqrt(len(slots))) + model.wording_bias


def read(evidence: Evidence, words: Sequence[Sequence[int]], *, decoded: bool, concealed: bool, model: Model) -> Scores:
    """Return what the layers say that need no encoder; of the windows of a long text the worst counts. `words` are the slots of each."""
    return Scores(
        rules=evidence.unquoted,
        quoted=evidence.anywhere - evidence.unquoted,
        wording=sigmoid(max((worded(slots, model) for slots in words), default=-LARGEST_LOGIT)),
        decoded=decoded,
        concealed=concealed,
    )


def bounds(said: Scores, model: Model) -> tuple[float, float]:
    """Return the least and the highest risk that the vector layers not asked yet could make of it."""

    def heard(most: float) -> Scores:
        windows = most if said.windows is None else said.windows
        sentences = most if said.sentences is None else said.sentences
        return replace(said, windows=windows, sentences=sentences)

    return risk(heard(0.0), model), risk(heard(1.0), model)


def features(said: Scores) -> tuple[float, ...]:
    """Return what the layers say as numbers of like size; a layer that was not asked says neither yes nor no."""
    vectors = (
        0.0 if one is None else min(max(logit(one), -LARGEST_VECTOR_LOGIT), LARGEST_VECTOR_LOGIT) / LARGEST_LOGIT
        for one in (said.windows, said.sentences)
    )
    return (
        said.rules,
        said.quoted,
        logit(said.wording) / LARGEST_LOGIT,
        *vectors,
        float(said.decoded),
        float(said.concealed),
    )


def risk(said: Scores, model: Model) -> float:
    """Return the probability of an attack, 0 to 1; from 0.5 on a text is refused by default.

    A decisive rule is never outvoted.
    """
    alone = said.rules if said.rules >= DECISIVE else 0.0
    return max(alone, sigmoid(float(np.dot(model.weights[:-1], features(said)) + model.weights[-1])))


def sigmoid(value: float) -> float:
    """Return 1 / (1 + exp(-value))."""
    return 1.0 / (1.0 + math.exp(-max(value, -_LARGEST_EXPONENT)))


def logit(probability: float) -> float:
    """Return the inverse of the sigmoid, cut off where the classifier's is."""
    safe = min(max(probability, 1e-9), 1.0 - 1e-9)
    return min(max(math.log(safe / (1.0 - safe)), -LARGEST_LOGIT), LARGEST_LOGIT)
