"""Answers that were given before, to exactly the same ask: where their bytes are kept.

A hit across scopes would be a leak, so the scope is part of every key.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Protocol

import orjson

from streams.answers import CachedAnswer, Hit, Question
from streams.ports import Clock

VERSION = 2  # of what is stored and of how it is found: a worker of another version must not read it


class ByteCache(Protocol):
    """Where bytes are kept for a while. It may lose any of them at any time; being down is a miss, not an error."""

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under the key."""

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value for at most so long."""

    async def close(self) -> None:
        """Close connections, if there are any."""


class LruCache:
    """A `ByteCache` in this process: bounded in entries and bytes, what was used least recently goes first.

    `time` is monotonic, in seconds.
    """

    def __init__(self, *, most_entries: int, most_bytes: int, time: Callable[[], float]) -> None:
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._time = time
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._kept)

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to give back."""

    @property
    def size_bytes(self) -> int:
        """Size of keys and values."""
        return self._bytes

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under the key."""
        value, ends = self._kept.get(key, (None, 0.0))
        if value is None:
            return None
        if ends <= self._time():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value; one that is larger than the whole cache is not kept."""
        self._drop(key)
        size = _size(key, value)
        if ttl_s <= 0 or size > self._most_bytes or self._most_entries < 1:
            return
        self._kept[key] = (value, self._time() + ttl_s)
        self._bytes += size
        while len(self._kept) > self._most_entries or self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        value, _ = self._kept.pop(key, (None, 0.0))
        if value is not None:
            self._bytes -= _size(key, value)


class ExactAnswers:
    """Answers to exactly the same ask, of exactly the same scope."""

    def __init__(self, cache: ByteCache, clock: Clock, *, ttl_s: float) -> None:
        self._cache = cache
        self._clock = clock
        self._ttl_s = ttl_s

    async def find(self, question: Question) -> Hit | None:
        """Return the answer that was given to this ask before."""
        value = await self._cache.get(_key(question))
        answer = decoded(value) if value is not None else None
        return hit(answer, 1.0, self._clock.now()) if answer is not None else None

    async def keep(self, question: Question, answer: CachedAnswer) -> None:
        """Remember an answer."""
        await self._cache.put(_key(question), encoded(answer), self._ttl_s)


def hit(answer: CachedAnswer, similarity: float, at: datetime, *, kind: str = "exact") -> Hit:
    """Return a hit with its age."""
    age_s = max(0.0, (at - answer.at).total_seconds())
    return Hit(answer=answer, similarity=similarity, age_s=age_s, kind=kind)


def encoded(answer: CachedAnswer) -> bytes:
    """Return an answer as bytes."""
    return orjson.dumps(asdict(answer))


def decoded(value: bytes) -> CachedAnswer | None:
    """Return the answer in the bytes; None when they hold none, since a shared cache can hold anything."""
    try:
        read = orjson.loads(value)
        answer = CachedAnswer(**{**read, "at": datetime.fromisoformat(read["at"])})
    except (ValueError, TypeError, KeyError):
        return None
    texts = (answer.text, answer.model, answer.provider, answer.finish_reason, answer.request_id)
    counts = (answer.input_tokens, answer.output_tokens)
    whole = all(isinstance(one, str) for one in texts) and all(isinstance(one, int) for one in counts)
    return answer if whole and answer.at.tzinfo is not None else None


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value)


def _key(question: Question) -> str:
    return f"answer:{VERSION}:{question.key}"
