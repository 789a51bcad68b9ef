"""A cache that workers share, in Redis."""

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

REST_S = 2.0  # a server that failed is left alone for so long: every ask would wait for its timeout
CONNECTIONS = 16


class RedisCache:
    """A `ByteCache`. A server that is down or slow is a miss; `failures` counts how often it was.

    `time` is monotonic, in seconds.
    """

    def __init__(self, url: str, *, prefix: str, timeout_s: float, most_bytes: int, time: Callable[[], float]) -> None:
        self.failures = 0
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._time = time
        self._rests_until = 0.0
        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            max_connections=CONNECTIONS,
            retry=Retry(NoBackoff(), 0),
        )

    async def start(self) -> None:
        """Do nothing: the first request connects, and a Redis that is down stops no worker."""

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under the key, None when the server does not answer in time."""
        if self._rests():
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                value = await self._redis.get(self._prefix + key)
        except (RedisError, OSError, TimeoutError):
            self._failed()
            return None
        return value if isinstance(value, bytes) else None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value; it is lost when the server does not answer in time."""
        milliseconds = int(ttl_s * 1000)
        if self._rests() or len(value) > self._most_bytes or milliseconds < 1:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._redis.set(self._prefix + key, value, px=milliseconds)
        except (RedisError, OSError, TimeoutError):
            self._failed()

    def _rests(self) -> bool:
        return self._time() < self._rests_until

    def _failed(self) -> None:
        self.failures += 1
        self._rests_until = self._time() + REST_S
