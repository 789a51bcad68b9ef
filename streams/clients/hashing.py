"""Vectors from word hashes: no model, always the same. For tests and topologies without a model."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from streams.ports import Vector

WORD = re.compile(r"\w+")


class Hashing:
    """An `EmbeddingModel` in which texts are near when they share words, 384 dimensions."""

    name = "hashing-384"
    dimension = 384

    def load(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing is open."""

    def vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text; a text without words has a direction of its own."""
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> Vector:
        sums = np.zeros(self.dimension)
        for word in WORD.findall(text.casefold()) or [f"no word: {text}"]:
            digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
            sums[int.from_bytes(digest[:4], "big") % self.dimension] += 1.0 if digest[4] & 1 else -1.0
        if not sums.any():  # words that cancel each other out
            sums[0] = 1.0
        return tuple((sums / np.linalg.norm(sums)).tolist())
