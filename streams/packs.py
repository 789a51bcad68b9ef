"""Context packs: what they are, and the library that knows which of them are current.

A pack is kept under a key that names the newest invalidation known when its call began. A newer invalidation makes another
key, so what was fetched before it, or is still under way, cannot be taken for current any more, in whatever cache it lies.
"""

import asyncio
import hashlib
import logging
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import orjson

from schemas.records import Invalidation
from streams.clients.cache import ByteCache
from streams.clients.single_flight import SingleFlight
from streams.errors import PipelineError
from streams.ports import Clock
from streams.settings import DataForgeSettings

log = logging.getLogger("forgestream.packs")

SUBJECT = "pack:"  # begins the subject of an invalidation
FORMAT = 1  # of what is cached: a worker of another version must not read it
MOST_IN_DEMAND = 64  # packs kept warm
DEMAND_S = 900.0  # a pack nobody asked for within this is not kept warm
WARM_S = 1.0  # between looks at the packs in demand
AHEAD = 0.9  # share of its time after which a pack in demand is fetched anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text of a pack. The primary ones stand for the whole pack."""

    chunk_id: str
    document_id: str
    title: str
    text: str
    primary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """What DataForge has put together under an id. `incomplete` says what of it could not be read."""

    pack_id: str
    version: str
    passages: tuple[Passage, ...]
    incomplete: tuple[str, ...] = ()


class PackSource(Protocol):
    """Where packs come from."""

    @property
    def well(self) -> bool:
        """Tell whether the newest look at its health found it well."""

    async def fetch(self, pack_id: str) -> Pack:
        """Return a pack.

        Raises:
            DataForgeUnavailable: try later.
            DataForgeRefused: trying again is useless; `PackNotFound` and `PackInvalid` say why.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A pack of the cache. One that is not fresh is older than allowed, or was changed since."""

    pack: Pack
    fresh: bool
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the source. `own` is True for the one of all who waited for it that speaks of it."""

    pack: Pack | None
    error: PipelineError | None
    started: datetime
    ended: datetime
    own: bool = True


@dataclass(slots=True)
class Counts:
    """What a library has done since its start."""

    hits: int = 0
    stale: int = 0
    misses: int = 0
    calls: int = 0
    joined: int = 0
    warmed: int = 0


@dataclass(slots=True)
class _Demand:
    """When a pack was asked for last, and what of it is known to be cached."""

    asked_at: datetime
    basis: str | None = None
    due_at: datetime | None = None


class Library:
    """Packs by id: those of the cache, and those of the source.

    Args:
        source: where packs come from.
        cache: keeps them, for this process or for all workers.
        invalidations: the newest change of every subject, a view.
    """

    def __init__(
        self,
        source: PackSource,
        cache: ByteCache,
        invalidations: Mapping[str, Invalidation],
        clock: Clock,
        settings: DataForgeSettings,
    ) -> None:
        self.counts = Counts()
        self._source = source
        self._cache = cache
        self._invalidations = invalidations
        self._clock = clock
        self._ttl_s = settings.pack_ttl_s
        self._stale_s = settings.pack_stale_s
        self._flights: SingleFlight[Call] = SingleFlight()
        self._demand: OrderedDict[str, _Demand] = OrderedDict()
        self._wanted = [pack_id.strip() for pack_id in settings.warm.split(",") if pack_id.strip()]

    @property
    def well(self) -> bool:
        """Tell whether the source was well when somebody looked."""
        return self._source.well

    async def held(self, pack_id: str) -> Held | None:
        """Return what the cache has: the current pack if it is there, else the newest older one, else None."""
        self._asked(pack_id)
        basis = self._basis(pack_id)
        found = _decoded(await self._cache.get(_key(pack_id, basis)), pack_id)
        if found is None:
            newest = await self._cache.get(_newest(pack_id))
            found = _decoded(await self._cache.get(newest.decode("utf-8", "replace")), pack_id) if newest else None
        held = self._as_held(found, pack_id, basis) if found is not None else None
        self.counts.hits += held is not None and held.fresh
        self.counts.stale += held is not None and not held.fresh
        self.counts.misses += held is None
        return held

    async def call(self, pack_id: str) -> Call:
        """Ask the source, together with all who ask for the same pack at this moment, and keep what it says."""
        basis = self._basis(pack_id)  # part of the flight's name: who knows of a change does not join an older call
        call, joined = await self._flights.run(_flight(pack_id, basis), lambda: self._called(pack_id, basis))
        self.counts.calls += not joined
        self.counts.joined += joined
        return call if not joined else _joined(call)

    def asks(self, pack_id: str) -> bool:
        """Tell whether anybody waits for the source to give this pack."""
        return _flight(pack_id, self._basis(pack_id)) in self._flights

    async def keep_warm(self) -> None:
        """Fetch the packs in demand again when they were changed, and before they are too old; never returns."""
        for pack_id in self._wanted:
            self._asked(pack_id)
        while True:
            await self.warm()
            await asyncio.sleep(WARM_S)

    async def warm(self) -> None:
        """Look at the packs in demand once."""
        now = self._clock.now()
        for pack_id, demand in list(self._demand.items()):
            due = demand.basis != self._basis(pack_id) or demand.due_at is None or demand.due_at <= now
            if due and self._source.well:
                call = await self.call(pack_id)
                self.counts.warmed += call.pack is not None
                if call.pack is None:  # asked for again by the next request, or not at all
                    self._demand.pop(pack_id, None)

    async def _called(self, pack_id: str, basis: str) -> Call:
        started = self._clock.now()
        try:
            pack = await self._source.fetch(pack_id)
        except PipelineError as error:
            return Call(pack=None, error=error, started=started, ended=self._clock.now())
        ended = self._clock.now()
        key = _key(pack_id, basis)
        await self._cache.put(key, _encoded(pack, basis, ended), self._stale_s)
        await self._cache.put(_newest(pack_id), key.encode(), self._stale_s)
        self._noted(pack_id, basis, ended)
        return Call(pack=pack, error=None, started=started, ended=ended)

    def _as_held(self, found: "_Kept", pack_id: str, basis: str) -> Held:
        changed = self._invalidations.get(SUBJECT + pack_id)
        current = found.basis == basis or (changed is not None and found.pack.version == changed.version)
        age_s = max(0.0, (self._clock.now() - found.at).total_seconds())
        fresh = current and age_s <= self._ttl_s
        if fresh:
            self._noted(pack_id, basis, found.at)
        return Held(pack=found.pack, fresh=fresh, age_s=age_s)

    def _basis(self, pack_id: str) -> str:
        changed = self._invalidations.get(SUBJECT + pack_id)
        return "first" if changed is None else _digest(changed.version, changed.at.isoformat())

    def _asked(self, pack_id: str) -> None:
        now = self._clock.now()
        demand = self._demand.pop(pack_id, None) or _Demand(now)
        demand.asked_at = now
        self._demand[pack_id] = demand
        while len(self._demand) > MOST_IN_DEMAND or _idle_s(next(iter(self._demand.values())), now) > DEMAND_S:
            self._demand.popitem(last=False)

    def _noted(self, pack_id: str, basis: str, at: datetime) -> None:
        demand = self._demand.get(pack_id)
        if demand is not None:
            demand.basis = basis
            demand.due_at = at + timedelta(seconds=AHEAD * self._ttl_s)


@dataclass(frozen=True, slots=True)
class _Kept:
    pack: Pack
    basis: str
    at: datetime = field(compare=False)


def _joined(call: Call) -> Call:
    return Call(pack=call.pack, error=call.error, started=call.started, ended=call.ended, own=False)


def _idle_s(demand: _Demand, now: datetime) -> float:
    return (now - demand.asked_at).total_seconds()


def _flight(pack_id: str, basis: str) -> str:
    return f"{pack_id} {basis}"


def _key(pack_id: str, basis: str) -> str:
    return f"pack:{FORMAT}:{_digest(pack_id)}:{basis}"


def _newest(pack_id: str) -> str:
    return f"pack:{FORMAT}:{_digest(pack_id)}:newest"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _encoded(pack: Pack, basis: str, at: datetime) -> bytes:
    return orjson.dumps({"pack": asdict(pack), "basis": basis, "at": at.timestamp()})


def _decoded(value: bytes | None, pack_id: str) -> _Kept | None:
    """Return the pack in the bytes; None when they hold none of that id, since a shared cache can hold anything."""
    if value is None:
        return None
    try:
        read: dict[str, Any] = orjson.loads(value)
        said, basis, at = read["pack"], read["basis"], float(read["at"])
        passages = tuple(Passage(**passage) for passage in said["passages"])
        pack = Pack(**{**said, "passages": passages, "incomplete": tuple(said["incomplete"])})
        kept = _Kept(pack, basis, datetime.fromtimestamp(at, tz=UTC))
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return None
    texts = [basis, pack.version, *(passage.text for passage in passages), *(passage.chunk_id for passage in passages)]
    whole = math.isfinite(at) and all(isinstance(text, str) for text in texts)
    return kept if whole and pack.pack_id == pack_id else None
