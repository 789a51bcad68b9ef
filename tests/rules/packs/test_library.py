"""Which packs are current, and how often their source is asked."""

import asyncio

import pytest

from schemas.records import Invalidation
from streams.clients.cache import LruCache
from streams.errors import DataForgeUnavailable
from streams.packs import Held, Library, Pack
from streams.settings import DataForgeSettings
from tests.clock import FixedClock
from tests.fakes.packs import ScriptedPacks

SETTINGS = DataForgeSettings(pack_ttl_s=3600, pack_stale_s=86_400)


class Shop:
    """Some libraries on one cache and one view, as replicas that share a Redis."""

    def __init__(self, clock: FixedClock, replicas: int = 1, settings: DataForgeSettings = SETTINGS) -> None:
        self.clock = clock
        self.source = ScriptedPacks()
        self.changed: dict[str, Invalidation] = {}
        cache = LruCache(most_entries=100, most_bytes=100_000, time=lambda: clock.now().timestamp())
        self.libraries = [Library(self.source, cache, self.changed, clock, settings) for _ in range(replicas)]

    def change(self, version: str, pack_id: str = "p") -> None:
        self.source.version = version
        self.changed[f"pack:{pack_id}"] = Invalidation(
            subject=f"pack:{pack_id}", version=version, reason="updated", at=self.clock.now()
        )

    async def get(self, replica: int = 0, pack_id: str = "p") -> Pack | None:
        library = self.libraries[replica]
        held = await library.held(pack_id)
        return held.pack if held is not None and held.fresh else (await library.call(pack_id)).pack


@pytest.fixture
def shop(clock: FixedClock) -> Shop:
    return Shop(clock)


def known(held: Held | None) -> tuple[str, bool] | None:
    return None if held is None else (held.pack.version, held.fresh)


async def test_a_pack_is_fetched_once_and_is_fresh_for_an_hour(shop: Shop) -> None:
    assert await shop.libraries[0].held("p") is None

    fetched = await shop.get()

    shop.clock.advance(3600)
    assert fetched == await shop.get()
    shop.clock.advance(1)
    assert known(await shop.libraries[0].held("p")) == ("1", False)
    assert shop.source.asked == ["p"]


async def test_a_changed_pack_is_not_fresh_any_more_but_still_there(shop: Shop) -> None:
    await shop.get()
    shop.change("2")

    assert known(await shop.libraries[0].held("p")) == ("1", False)
    assert (await shop.get()) == (await shop.get())
    assert known(await shop.libraries[0].held("p")) == ("2", True)
    assert shop.source.asked == ["p", "p"]


async def test_a_version_that_was_fetched_before_its_change_was_told_is_current(shop: Shop) -> None:
    shop.source.version = "2"
    await shop.get()
    shop.change("2")

    assert known(await shop.libraries[0].held("p")) == ("2", True)


async def test_an_answer_that_was_under_way_when_the_pack_changed_is_not_current(shop: Shop) -> None:
    shop.source.gate = asyncio.Event()
    slow = asyncio.ensure_future(shop.get())
    await shop.source.arrived.acquire()
    shop.change("2")
    fast = asyncio.ensure_future(shop.get())  # does not join the older call
    await shop.source.arrived.acquire()
    shop.source.gate.set()

    assert [pack.version for pack in await asyncio.gather(slow, fast) if pack] == ["1", "2"]
    assert known(await shop.libraries[0].held("p")) == ("2", True)


async def test_an_answer_that_comes_after_the_newer_one_does_not_replace_it(clock: FixedClock) -> None:
    shop = Shop(clock, replicas=2)
    shop.source.gate = asyncio.Event()
    slow = asyncio.ensure_future(shop.get(0))
    await shop.source.arrived.acquire()
    held_up, shop.source.gate = shop.source.gate, None
    shop.change("2")
    await shop.get(1)
    held_up.set()
    await slow

    assert [known(await library.held("p")) for library in shop.libraries] == [("2", True), ("2", True)]


async def test_many_who_ask_at_once_make_one_call(shop: Shop) -> None:
    shop.source.gate = asyncio.Event()
    asking = [asyncio.ensure_future(shop.libraries[0].call("p")) for _ in range(50)]
    await shop.source.arrived.acquire()
    shop.source.gate.set()

    calls = await asyncio.gather(*asking)

    assert shop.source.asked == ["p"]
    assert sum(call.own for call in calls) == 1
    assert {call.pack.version for call in calls if call.pack} == {"1"}


async def test_a_call_that_fails_says_so_and_keeps_nothing(shop: Shop) -> None:
    shop.source.error = DataForgeUnavailable("down")

    call = await shop.libraries[0].call("p")

    assert (call.pack, call.error) == (None, shop.source.error)
    assert await shop.libraries[0].held("p") is None


async def test_packs_of_other_ids_are_not_touched_by_a_change(shop: Shop) -> None:
    await shop.get(pack_id="q")
    shop.change("2", "p")

    assert known(await shop.libraries[0].held("q")) == ("1", True)


@pytest.mark.parametrize("value", [b"", b"{}", b"7", b'{"pack": {"passages": []}, "basis": "first", "at": 1}', b"\xff"])
async def test_bytes_that_are_no_pack_are_none(clock: FixedClock, value: bytes) -> None:
    class Garbled(LruCache):
        async def get(self, key: str) -> bytes | None:
            return value

    cache = Garbled(most_entries=1, most_bytes=1, time=lambda: 0.0)

    assert await Library(ScriptedPacks(), cache, {}, clock, SETTINGS).held("p") is None


async def test_packs_in_demand_are_fetched_when_they_change_and_before_they_are_too_old(shop: Shop) -> None:
    (library,) = shop.libraries
    await shop.get()
    await library.warm()
    assert shop.source.asked == ["p"]

    shop.change("2")
    await library.warm()
    await library.warm()
    assert (shop.source.asked, known(await library.held("p"))) == (["p"] * 2, ("2", True))

    shop.clock.advance(3600 * 0.95)
    await library.held("p")
    await library.warm()
    assert (len(shop.source.asked), library.counts.warmed) == (3, 2)


async def test_a_pack_nobody_wants_any_more_is_not_kept_warm(shop: Shop) -> None:
    (library,) = shop.libraries
    await shop.get()
    shop.clock.advance(1000)
    await shop.get(pack_id="q")
    shop.change("2")
    await library.warm()

    assert shop.source.asked == ["p", "q"]


async def test_a_source_that_is_not_well_is_not_asked_to_keep_packs_warm(shop: Shop) -> None:
    await shop.get()
    shop.change("2")
    shop.source.well = False
    await shop.libraries[0].warm()

    assert shop.source.asked == ["p"]


async def test_packs_of_the_settings_are_fetched_before_anybody_asks(clock: FixedClock) -> None:
    shop = Shop(clock, settings=DataForgeSettings(warm=" p, q ,"))
    keeping = asyncio.ensure_future(shop.libraries[0].keep_warm())
    for _ in range(2):
        await shop.source.arrived.acquire()
    keeping.cancel()

    assert shop.source.asked == ["p", "q"]
