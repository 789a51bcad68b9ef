"""The gate of one process: what stands in when no Redis is named, and while Redis does not answer."""

from collections import OrderedDict, deque
from datetime import UTC, datetime, timedelta

from schemas.records import RateLimit
from streams.ports import Entry, Passage, Quota

MOST_SUBJECTS = 100_000
MOST_REMEMBERED = 100_000


class _Log:
    """The requests of one subject within the window, oldest first."""

    __slots__ = ("entries", "ids", "tokens")

    def __init__(self) -> None:
        self.entries: deque[tuple[datetime, str, int]] = deque()
        self.ids: set[str] = set()
        self.tokens = 0

    def forget_before(self, oldest: datetime) -> None:
        while self.entries and self.entries[0][0] <= oldest:
            _, request_id, tokens = self.entries.popleft()
            self.ids.discard(request_id)
            self.tokens -= tokens

    def count(self, request_id: str, tokens: int, at: datetime) -> None:
        self.entries.append((at, request_id, tokens))
        self.ids.add(request_id)
        self.tokens += tokens


class MemoryGate:
    """A `Gate` over dictionaries; both are bounded, the longest unused is forgotten first."""

    def __init__(self, *, window_s: float, duplicate_ms: float) -> None:
        self._window = timedelta(seconds=window_s)
        self._repeats = timedelta(milliseconds=duplicate_ms)
        self._logs: OrderedDict[str, _Log] = OrderedDict()
        self._asked: OrderedDict[str, tuple[datetime, Entry]] = OrderedDict()

    async def start(self) -> None:
        """Do nothing: there is nothing to open."""

    async def close(self) -> None:
        """Do nothing."""

    async def enter(self, entry: Entry, at: datetime) -> Passage:
        """Count a request; see `Gate`."""
        if (first := self._first(entry, at)) is not None:
            return Passage(first_request_id=first.request_id, first_session_id=first.session_id)
        logs = [(quota, self._log(quota, at)) for quota in entry.quotas]
        exceeded = [_name_of_excess(quota, log, entry) for quota, log in logs if entry.request_id not in log.ids]
        refused = next((name for name in exceeded if name), None)
        if refused is None:
            for _, log in logs:
                if entry.request_id not in log.ids:
                    log.count(entry.request_id, entry.tokens, at)
            self._remember(entry, at)
        limits = tuple(limit for quota, log in logs for limit in self._limits(quota, log, at))
        return Passage(limits=limits, exceeded=next((one for one in limits if one.name == refused), None))

    def _first(self, entry: Entry, at: datetime) -> Entry | None:
        found = self._asked.get(f"{entry.tenant}\0{entry.fingerprint}")
        if found is None or at - found[0] >= self._repeats or found[1].request_id == entry.request_id:
            return None
        return found[1]

    def _remember(self, entry: Entry, at: datetime) -> None:
        if not self._repeats:
            return
        key = f"{entry.tenant}\0{entry.fingerprint}"
        self._asked[key] = (at, entry)
        self._asked.move_to_end(key)
        while self._asked and (
            len(self._asked) > MOST_REMEMBERED or at - next(iter(self._asked.values()))[0] >= self._repeats
        ):
            self._asked.popitem(last=False)

    def _log(self, quota: Quota, at: datetime) -> _Log:
        log = self._logs.setdefault(quota.subject, _Log())
        self._logs.move_to_end(quota.subject)
        if len(self._logs) > MOST_SUBJECTS:
            self._logs.popitem(last=False)
        log.forget_before(at - self._window)
        return log

    def _limits(self, quota: Quota, log: _Log, at: datetime) -> list[RateLimit]:
        reset_at = (log.entries[0][0] if log.entries else at) + self._window
        return limits_of(quota, requests=len(log.entries), tokens=log.tokens, reset_at=reset_at)


def limits_of(quota: Quota, *, requests: int, tokens: int, reset_at: datetime) -> list[RateLimit]:
    """Return what is left of a quota of which so much is used."""
    used = (("requests", quota.requests, requests), ("tokens", quota.tokens, tokens))
    return [
        RateLimit(
            name=f"{quota.name} {kind}",
            limit=limit,
            remaining=max(0, limit - so_far),
            reset_at=reset_at.astimezone(UTC),
        )
        for kind, limit, so_far in used
        if limit
    ]


def _name_of_excess(quota: Quota, log: _Log, entry: Entry) -> str:
    if quota.requests and len(log.entries) + 1 > quota.requests:
        return f"{quota.name} requests"
    if quota.tokens and log.tokens + entry.tokens > quota.tokens:
        return f"{quota.name} tokens"
    return ""
