"""The gate that all workers share: one atomic script in Redis."""

import asyncio
import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from streams.clients.memory_gate import MemoryGate, limits_of
from streams.errors import SettingsInvalid
from streams.ports import Entry, Passage
from streams.settings import RedisSettings

log = logging.getLogger("forgestream.gate")

PREFIX = "forgestream"
PAUSE_S = 1.0  # for which a Redis that did not answer is not asked again
_PER_QUOTA = 3


class RedisGate:
    """A `Gate` in Redis or Valkey. While it does not answer each worker counts by itself: limits are then looser, requests go on.

    Keys carry the tenant as hash tag, so that those of one call share a slot of a Redis cluster.
    """

    def __init__(self, settings: RedisSettings, *, window_s: float, duplicate_ms: float) -> None:
        try:
            self._redis = redis.asyncio.Redis.from_url(
                settings.url,
                socket_timeout=settings.timeout_s,
                socket_connect_timeout=settings.timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise SettingsInvalid([f"FORGESTREAM_REDIS_URL: {error}"]) from None
        self._script = self._redis.register_script(
            resources.files(__package__).joinpath("gate.lua").read_text(encoding="utf-8")
        )
        self._timeout_s = settings.timeout_s
        self._window_ms = math.ceil(window_s * 1000)
        self._duplicate_ms = math.ceil(duplicate_ms)
        self._alone = MemoryGate(window_s=window_s, duplicate_ms=duplicate_ms)
        self._again_at_s = 0.0

    async def start(self) -> None:
        """Do nothing: the first request connects, and a Redis that is down stops no worker."""

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def enter(self, entry: Entry, at: datetime) -> Passage:
        """Count a request; see `Gate`."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._again_at_s:
            return await self._alone.enter(entry, at)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._script(keys=_keys(entry), args=self._arguments(entry, at))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("Redis does not answer (%s); limits are counted by this worker alone", type(error).__name__)
            self._again_at_s = now_s + PAUSE_S
            return await self._alone.enter(entry, at)
        return self._passage(entry, answer)

    def _arguments(self, entry: Entry, at: datetime) -> list[str | int]:
        limits = [limit for quota in entry.quotas for limit in (quota.requests, quota.tokens)]
        now_ms = int(at.timestamp() * 1000)
        return [now_ms, self._window_ms, entry.request_id, entry.tokens, self._duplicate_ms, _name(entry), *limits]

    def _passage(self, entry: Entry, answer: Sequence[bytes | int]) -> Passage:
        outcome = bytes(answer[0]).decode()
        if outcome == "repeats":
            first, _, session = bytes(answer[1]).decode().partition("\n")
            return Passage(first_request_id=first, first_session_id=session or None)
        limits = []
        for number, quota in enumerate(entry.quotas):
            requests, tokens, oldest_ms = (int(part) for part in answer[2 + _PER_QUOTA * number :][:_PER_QUOTA])
            reset_at = datetime.fromtimestamp(oldest_ms / 1000, UTC) + timedelta(milliseconds=self._window_ms)
            limits += limits_of(quota, requests=requests, tokens=tokens, reset_at=reset_at)
        refused = f"{entry.quotas[int(answer[1]) - 1].name} {outcome}" if outcome != "counted" else None
        return Passage(limits=tuple(limits), exceeded=next((limit for limit in limits if limit.name == refused), None))


def _keys(entry: Entry) -> list[str]:
    tag = f"{PREFIX}:{{{entry.tenant}}}"
    keys = [f"{tag}:asked:{entry.fingerprint}"]
    for quota in entry.quotas:
        keys += [f"{tag}:log:{quota.subject}", f"{tag}:tokens:{quota.subject}"]
    return keys


def _name(entry: Entry) -> str:
    return f"{entry.request_id}\n{entry.session_id or ''}"
