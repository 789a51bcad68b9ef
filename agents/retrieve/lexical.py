"""How much of what is asked a text says, by BM25 over the texts at hand."""

import math
from collections.abc import Collection, Mapping, Sequence

K1 = 1.2  # how soon a repeated word adds nothing
B = 0.75  # how much a long text has to say a word more often


def bm25(asked: Collection[str], texts: Sequence[Mapping[str, int]]) -> Sequence[float]:
    """Return for each text its score, as a share of the highest any text could have: 0 to 1.

    A word counts by how few of the texts hold it; one that none holds counts most, so what is missing is felt. Robertson
    and Zaragoza, The Probabilistic Relevance Framework (2009), with the inverse document frequency that is never negative.

    Args:
        asked: distinct words of the question.
        texts: word -> how often, of each text.
    """
    if not asked or not texts:
        return [0.0] * len(texts)
    lengths = [sum(text.values()) for text in texts]
    usual = sum(lengths) / len(lengths) or 1.0
    weights = {word: _weight(sum(word in text for text in texts), len(texts)) for word in sorted(asked)}
    most = (K1 + 1) * sum(weights.values())
    norms = [K1 * (1 - B + B * length / usual) for length in lengths]
    return [
        sum(weight * (K1 + 1) * text.get(word, 0) / (text.get(word, 0) + norm) for word, weight in weights.items())
        / most
        for text, norm in zip(texts, norms, strict=True)
    ]


def _weight(holding: int, texts: int) -> float:
    return math.log(1 + (texts - holding + 0.5) / (holding + 0.5))
