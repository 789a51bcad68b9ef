"""How often a pack is in the cache already: the benchmark's Zipf traffic over three replicas, with a shared Redis and without.

`make context` runs the real library against a real Redis and writes its table into docs/context.md.
"""

import asyncio
import bisect
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from schemas.records import Invalidation
from streams.clients.cache import ByteCache, LruCache
from streams.clients.cache_redis import RedisCache
from streams.packs import Library, Pack, Passage
from streams.settings import DataForgeSettings
from tests.benchmarks import load
from tests.benchmarks.written import place, write_part
from tests.clock import FixedClock
from tests.loopback.redis_server import redis_server

REPLICAS = 3
REQUESTS = 60_000
REQUESTS_PER_S = 10.0
PACKS = 5_000
CHANGES = 500  # invalidations over the run, of packs as they are asked for
SEED = 7
SETTINGS = DataForgeSettings()


@dataclass
class Source:
    """A `PackSource` that counts its calls."""

    calls: int = 0
    well: bool = True

    async def fetch(self, pack_id: str) -> Pack:
        self.calls += 1
        passage = Passage(chunk_id="c", document_id="d", title="", text="x" * 2_000, primary=True)
        return Pack(pack_id=pack_id, version=str(self.calls), passages=(passage,))


@dataclass(frozen=True)
class Ask:
    """One request, or one change."""

    pack_id: str
    replica: int
    change: bool


def traffic(requests: int = REQUESTS) -> Sequence[Ask]:
    """Return the requests in order; each goes to any of the replicas, as conversations do."""
    chance = Random(SEED)
    weights = list(itertools.accumulate(load.zipf(PACKS)))
    changes = set(chance.sample(range(requests), CHANGES * requests // REQUESTS))
    return [
        Ask(
            f"pack-{bisect.bisect_left(weights, chance.random() * weights[-1])}",
            chance.randrange(REPLICAS),
            at in changes,
        )
        for at in range(requests)
    ]


async def hit_rate(caches: Sequence[ByteCache], asks: Sequence[Ask], clock: FixedClock) -> tuple[float, int]:
    """Return the share of requests whose pack was there, and the calls of the source, with a library for every cache."""
    source, changed = Source(), dict[str, Invalidation]()
    libraries = [Library(source, cache, changed, clock, SETTINGS) for cache in caches]
    for ask in asks:
        clock.advance(1 / REQUESTS_PER_S)
        if ask.change:
            subject = f"pack:{ask.pack_id}"
            changed[subject] = Invalidation(subject=subject, version="?", reason="updated", at=clock.now())
        library = libraries[ask.replica % len(libraries)]
        held = await library.held(ask.pack_id)
        if held is None or not held.fresh:
            await library.call(ask.pack_id)
    return sum(library.counts.hits for library in libraries) / len(asks), source.calls


def in_process(clock: FixedClock) -> LruCache:
    """Return the cache of a process without a Redis."""
    most_bytes = int(SETTINGS.packs_mb * 1024 * 1024)
    return LruCache(most_entries=2 * SETTINGS.packs, most_bytes=most_bytes, time=lambda: clock.now().timestamp())


async def main() -> None:
    """Measure and write."""
    asks = traffic()
    rows = []
    for name, count in (("one process", 1), (f"{REPLICAS} replicas, each its own cache", REPLICAS)):
        clock = FixedClock()
        rows.append(_row(name, *await hit_rate([in_process(clock) for _ in range(count)], asks, clock)))
    with tempfile.TemporaryDirectory() as folder:
        async with redis_server(Path(folder)) as server:
            shared = [
                RedisCache(server.url, prefix="b:", timeout_s=10, most_bytes=10**7, time=lambda: 0.0)
                for _ in range(REPLICAS)
            ]
            rows.append(_row(f"{REPLICAS} replicas that share a Redis", *await hit_rate(shared, asks, FixedClock())))
            for cache in shared:
                await cache.close()
    distinct = len({ask.pack_id for ask in asks})
    about = (
        f"{len(asks):,} requests, {REQUESTS_PER_S:g} a second, for {distinct:,} of {PACKS:,} packs by Zipf's law, "
        f"{CHANGES} changes of packs; {SETTINGS.packs:,} packs a process, fresh for {SETTINGS.pack_ttl_s:g} s. "
        f"`make context`; {place()}."
    )
    table = "\n".join(["| packs lie in | hit rate | calls of DataForge |", "|---|---|---|", *rows])
    write_part("docs/context.md", "pack cache", f"{about}\n\n{table}")


def _row(name: str, rate: float, calls: int) -> str:
    return f"| {name} | {rate:.1%} | {calls:,} |"


if __name__ == "__main__":
    asyncio.run(main())
