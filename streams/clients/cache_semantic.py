"""Answers to questions that mean the same, found by the vectors of the questions."""

from collections import OrderedDict, deque
from collections.abc import Sequence

import numpy as np

from streams.answers import CachedAnswer, Hit, Scope
from streams.clients.cache import hit
from streams.ports import Clock, Vector


class SemanticAnswers:
    """The newest answers of each scope, in this process. A question is compared with those of its own scope alone.

    Vectors have unit length, as encoders make them. Bounded in scopes and in answers of each; the scope that was used
    least recently goes first, and within a scope the oldest answer.
    """

    def __init__(self, clock: Clock, *, ttl_s: float, most_scopes: int, most_answers: int) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._most_scopes = most_scopes
        self._most_answers = most_answers
        self._scopes: OrderedDict[str, deque[tuple[Vector, CachedAnswer]]] = OrderedDict()
        self._matrices: dict[str, np.ndarray[tuple[int, int], np.dtype[np.float32]]] = {}

    def find(self, scope: Scope, vector: Vector, *, threshold: float) -> Hit | None:
        """Return the answer to the nearest question of the scope, if it is at least as near as the threshold."""
        key, now = scope.digest(), self._clock.now()
        kept = self._scopes.get(key)
        if not kept:
            return None
        self._scopes.move_to_end(key)
        while kept and (now - kept[0][1].at).total_seconds() > self._ttl_s:
            kept.popleft()
            self._matrices.pop(key, None)
        if not kept or len(vector) != len(kept[0][0]):
            return None
        # not `@`: the threads of its BLAS go on waiting at full speed, for far longer than the product takes
        similarities = np.einsum("ij,j->i", self._matrix(key, kept), np.asarray(vector, dtype=np.float32))
        nearest = int(similarities.argmax())
        similarity = min(1.0, float(similarities[nearest]))
        return hit(kept[nearest][1], similarity, now, kind="semantic") if similarity >= threshold else None

    def keep(self, scope: Scope, vector: Vector, answer: CachedAnswer) -> None:
        """Remember the answer to a question."""
        key = scope.digest()
        kept = self._scopes.setdefault(key, deque(maxlen=self._most_answers))
        if kept and len(kept[0][0]) != len(vector):  # another embedding model: its vectors cannot be compared
            kept.clear()
        kept.append((vector, answer))
        self._matrices.pop(key, None)
        self._scopes.move_to_end(key)
        while len(self._scopes) > self._most_scopes:
            gone, _ = self._scopes.popitem(last=False)
            self._matrices.pop(gone, None)

    def forget(self, scope: Scope) -> None:
        """Drop a scope, as when its pack has a new version."""
        self._scopes.pop(scope.digest(), None)
        self._matrices.pop(scope.digest(), None)

    def _matrix(
        self, key: str, kept: Sequence[tuple[Vector, CachedAnswer]]
    ) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        found = self._matrices.get(key)
        if found is None:
            found = self._matrices[key] = np.asarray([vector for vector, _ in kept], dtype=np.float32)
        return found
