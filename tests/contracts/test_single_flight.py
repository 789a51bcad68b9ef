"""Identical work under way is done once."""

import asyncio
import itertools

from streams.clients.single_flight import SingleFlight


class Work:
    """Counts how often it is begun; ends when told."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.end = asyncio.Event()
        self.results = itertools.count(1)

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return next(self.results)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_identical_work_under_way_is_done_once() -> None:
    flights, work = SingleFlight[int](), Work()
    tasks = [asyncio.ensure_future(flights.run("a", work)) for _ in range(50)]
    await turns()
    work.end.set()

    results = await asyncio.gather(*tasks)

    assert work.begun == 1
    assert results == [(1, False), *[(1, True)] * 49]
    assert await flights.run("a", work) == (2, False)
    assert len(flights) == 0


async def test_other_work_is_not_waited_for() -> None:
    flights, held, free = SingleFlight[int](), Work(), Work()
    free.end.set()
    waiting = asyncio.ensure_future(flights.run("a", held))
    await turns()

    assert await flights.run("b", free) == (1, False)
    held.end.set()
    await waiting


async def test_the_first_to_go_leaves_the_work_to_the_others() -> None:
    flights, work = SingleFlight[int](), Work()
    first, second = (asyncio.ensure_future(flights.run("a", work)) for _ in range(2))
    await turns()
    first.cancel()
    await asyncio.wait([first])
    work.end.set()

    assert await second == (1, False)  # now the first
    assert (work.begun, work.cancelled) == (1, 0)


async def test_work_that_nobody_waits_for_is_cancelled_and_begun_anew() -> None:
    flights, work = SingleFlight[int](), Work()
    tasks = [asyncio.ensure_future(flights.run("a", work)) for _ in range(2)]
    await turns()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    work.end.set()

    assert await flights.run("a", work) == (1, False)
    assert (work.begun, work.cancelled, len(flights)) == (2, 1, 0)


async def test_a_failure_is_that_of_all_who_waited_and_of_nobody_else() -> None:
    flights = SingleFlight[int]()

    async def fails() -> int:
        await turns()
        raise ZeroDivisionError

    ends = await asyncio.gather(*(flights.run("a", fails) for _ in range(3)), return_exceptions=True)

    assert [type(end) for end in ends] == [ZeroDivisionError] * 3
    assert len(flights) == 0
