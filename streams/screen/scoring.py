"""The layers that are trained, on vectors and on words, and how all layers become one risk.

`tests/screening/train.py` trains them; they ship as plain arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from streams.ports import Vector
from streams.screen.patterns import Evidence

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

LARGEST_LOGIT = 8.0
DECISIVE = 0.75  # score of a rule that is enough by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The arrays.

    `wording` has a weight for each slot of `hashed`, `examples` are the vectors of known attacks, `weights` those of the seven features
    and the bias.
    """

    version: str
    encoder: str
    hidden: Array
    hidden_bias: Array
    output: Array
    output_bias: float
    wording: Array
    wording_bias: float
    examples: Array
    weights: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What each layer says of one view, 0 to 1; vector layers are None when the encoder is not the one they were trained with."""

    rules: float
    quoted: float
    wording: float
    classifier: float | None
    similarity: float | None
    decoded: bool
    concealed: bool


@lru_cache(maxsize=1)
def shipped() -> Model:
    """Return the arrays that ship with the program."""
    source = resources.files(__package__).joinpath("model.npz")
    with source.open("rb") as opened, np.load(opened, allow_pickle=False) as read:
        return Model(
            version=str(read["version"]),
            encoder=str(read["encoder"]),
            hidden=read["hidden"].astype(np.float32),
            hidden_bias=read["hidden_bias"].astype(np.float32),
            output=read["output"].astype(np.float32),
            output_bias=float(read["output_bias"]),
            wording=read["wording"].astype(np.float32),
            wording_bias=float(read["wording_bias"]),
            examples=read["examples"].astype(np.float32),
            weights=read["weights"].astype(np.float32),
        )


def logits(vectors: Array, model: Model) -> Array:
    """Return the classifier's logit of each vector: one hidden layer of rectified units."""
    hidden = np.maximum(vectors @ model.hidden + model.hidden_bias, 0.0)
    found: Array = np.clip(hidden @ model.output + model.output_bias, -LARGEST_LOGIT, LARGEST_LOGIT)
    return found


def worded(slots: Sequence[int], model: Model) -> float:
    """Return the logit of a window by the slots of its words; long windows weigh no more than short ones."""
    if not slots:
        return -LARGEST_LOGIT
    return float(model.wording[list(slots)].sum() / np.sqrt(len(slots))) + model.wording_bias


def scores(
    evidence: Evidence,
    vectors: Sequence[Vector] | None,
    words: Sequence[Sequence[int]],
    *,
    decoded: bool,
    concealed: bool,
    model: Model,
) -> Scores:
    """Return what the layers say; of the windows of a long text the worst counts. `words` are the slots of each window."""
    classifier: float | None = None
    similarity: float | None = None
    if vectors:
        matrix = np.asarray(vectors, dtype=np.float32)
        classifier = sigmoid(float(logits(matrix, model).max()))
        # not `@`: the threads of its BLAS wait for the next product for 40 ms, at full speed, after one of half a millisecond
        similarity = max(0.0, float(np.einsum("ij,kj->ik", matrix, model.examples).max()))
    return Scores(
        rules=evidence.unquoted,
        quoted=evidence.anywhere - evidence.unquoted,
        wording=sigmoid(max((worded(slots, model) for slots in words), default=-LARGEST_LOGIT)),
        classifier=classifier,
        similarity=similarity,
        decoded=decoded,
        concealed=concealed,
    )


def features(said: Scores) -> tuple[float, ...]:
    """Return what the layers say as numbers of like size."""
    classifier = 0.5 if said.classifier is None else said.classifier
    return (
        said.rules,
        said.quoted,
        logit(classifier) / LARGEST_LOGIT,
        said.similarity or 0.0,
        logit(said.wording) / LARGEST_LOGIT,
        float(said.decoded),
        float(said.concealed),
    )


def risk(said: Scores, model: Model) -> float:
    """Return the probability of an attack, 0 to 1; from 0.5 on a text is refused by default.

    Vector layers that are silent say neither yes nor no, and a decisive rule is never outvoted.
    """
    alone = said.rules if said.rules >= DECISIVE else 0.0
    return max(alone, sigmoid(float(np.dot(model.weights[:-1], features(said)) + model.weights[-1])))


def sigmoid(value: float) -> float:
    """Return 1 / (1 + exp(-value))."""
    return float(1.0 / (1.0 + np.exp(-value)))


def logit(probability: float) -> float:
    """Return the inverse of the sigmoid, cut off where the classifier's is."""
    safe = min(max(probability, 1e-9), 1.0 - 1e-9)
    return float(np.clip(np.log(safe / (1.0 - safe)), -LARGEST_LOGIT, LARGEST_LOGIT))
