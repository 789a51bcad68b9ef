"""What is said of DataForge after a call, beside what comes of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from agents.retrieve import rules
from agents.retrieve.ladder import Had, PackLadder
from schemas.records import Outcome
from streams.circuit import Gate
from streams.clients.cache import LruCache
from streams.packs import Library
from streams.settings import DataForgeSettings
from tests.clock import FixedClock
from tests.fakes.packs import ScriptedPacks
from tests.given import an_origin

SETTINGS = DataForgeSettings()
UNAVAILABLE = Had(None, (rules.PACK_UNAVAILABLE,))


@dataclass
class Asking:
    """A ladder on a DataForge that is silent until its gate opens, and what is said of it."""

    clock: FixedClock
    source: ScriptedPacks = field(default_factory=ScriptedPacks)
    said: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = self.source.gate = asyncio.Event()
        cache = LruCache(most_entries=9, most_bytes=10**6, time=lambda: 0.0)
        library = Library(self.source, cache, {}, self.clock, SETTINGS)
        self._ladder = PackLadder(library, Gate({}, 1), self.clock, SETTINGS)

    async def find(self, number: int, *, left_s: float) -> Had:
        """Ask for the pack `p`."""
        deadline = self.clock.now() + timedelta(seconds=left_s)
        return await self._ladder.find("p", replace(an_origin(f"r{number}"), deadline=deadline), self.said.append)


@pytest.fixture
async def asking(clock: FixedClock) -> AsyncIterator[Asking]:
    made = Asking(clock)
    yield made
    made.gate.set()


async def test_a_silence_that_nobody_could_wait_out_counts_once_against_dataforge(asking: Asking) -> None:
    """However many waited, and although their deadlines are shorter than its timeout."""
    left_s = 2 * rules.SILENCE_S  # half of it is for the pack

    had = await asyncio.gather(*(asking.find(number, left_s=left_s) for number in range(3)))

    assert had == [UNAVAILABLE] * 3
    assert [(outcome.ok, outcome.error_code) for outcome in asking.said] == [(False, "dataforge_unavailable")]
    assert asking.source.asked == ["p"]


async def test_a_request_in_a_hurry_says_nothing_of_dataforge(asking: Asking) -> None:
    assert await asking.find(1, left_s=0.01) == UNAVAILABLE

    assert asking.said == []


async def test_who_waits_on_speaks_for_who_has_left(asking: Asking) -> None:
    hurried = asyncio.create_task(asking.find(1, left_s=0.02))
    patient = asyncio.create_task(asking.find(2, left_s=60))
    assert await hurried == UNAVAILABLE

    asking.gate.set()

    assert (await patient).pack is not None
    assert [(outcome.ok, outcome.request_id) for outcome in asking.said] == [(True, "r2")]
