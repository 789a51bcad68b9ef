"""The answers a worker remembers: the same asks in Redis or in this process, near ones in this process."""

import time
from collections import Counter

from streams.answers import CachedAnswer, Hit, Question
from streams.clients.cache import ByteCache, ExactAnswers, LruCache
from streams.clients.cache_semantic import SemanticAnswers
from streams.clock import SystemClock
from streams.ports import Clock, Vector
from streams.settings import CacheSettings, Settings

MIB = 1024 * 1024
SCOPES = 1000  # whose near questions are remembered at the same time
LARGEST = 64  # an answer of more than this part of the whole is not kept


class AnswerCache:
    """An `AnswerMemory`."""

    def __init__(self, settings: CacheSettings, bytes_kept: ByteCache, clock: Clock) -> None:
        self.counts: Counter[str] = Counter()
        self._bytes = bytes_kept
        self._exact = ExactAnswers(bytes_kept, clock, ttl_s=settings.ttl_s)
        self._near = SemanticAnswers(
            clock, ttl_s=settings.ttl_s, most_scopes=SCOPES, most_answers=settings.near_answers
        )

    async def start(self) -> None:
        """Nothing to load; a Redis may be down at the start."""

    async def close(self) -> None:
        """Close the connections to Redis, if there are any."""
        await self._bytes.close()

    async def exact(self, question: Question) -> Hit | None:
        """Return the answer that was given to the same ask."""
        return await self._exact.find(question)

    def near(self, question: Question, vector: Vector) -> Hit | None:
        """Return the answer to the nearest question of the scope, when it is near enough and not too long."""
        if question.threshold is None:
            return None
        found = self._near.find(question.scope, vector, threshold=question.threshold)
        return found if found is not None and found.answer.output_tokens <= question.max_tokens else None

    async def keep(self, question: Question, vector: Vector | None, answer: CachedAnswer) -> None:
        """Remember an answer; with a vector also for questions near it."""
        await self._exact.keep(question, answer)
        if vector is not None:
            self._near.keep(question.scope, vector, answer)

    def count(self, what: str) -> None:
        """Count for the metrics."""
        self.counts[what] += 1


def answers_of(settings: Settings, clock: Clock | None = None) -> AnswerCache:
    """The answers of all workers when a Redis is named, else those of this process."""
    return AnswerCache(settings.cache, _bytes_of(settings), clock or SystemClock())


def _bytes_of(settings: Settings) -> ByteCache:
    most_bytes = int(settings.cache.mb * MIB)
    if not settings.redis.url:
        return LruCache(most_entries=settings.cache.entries, most_bytes=most_bytes, time=time.monotonic)
    from streams.clients.cache_redis import RedisCache  # noqa: PLC0415 - loaded only where it is used

    return RedisCache(
        settings.redis.url,
        prefix=f"{settings.kafka.topic_prefix}forgestream:",
        timeout_s=settings.redis.timeout_s,
        most_bytes=most_bytes // LARGEST,
        time=time.monotonic,
    )
