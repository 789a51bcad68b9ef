from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

from tests.given import NOON
from topology.reading import Read
from topology.replay.history import merged


def a_read(partition: int, offset: int, second: float) -> Read:
    at = NOON + timedelta(seconds=second)
    return Read(topic="texts", partition=partition, offset=offset, at=at, key=None, value=None, headers=())


async def partition(number: int, seconds: Sequence[float]) -> AsyncGenerator[Read, None]:
    for offset, second in enumerate(seconds):
        yield a_read(number, offset, second)


async def in_order(*partitions: Sequence[float]) -> list[tuple[int, int]]:
    generators = [partition(number, seconds) for number, seconds in enumerate(partitions)]
    return [(found.partition, found.offset) async for found in merged(generators)]


async def test_partitions_are_read_by_time() -> None:
    assert await in_order((0, 3, 5), (1, 2, 9), ()) == [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2)]


async def test_records_of_the_same_moment_come_by_partition() -> None:
    assert await in_order((1, 1), (1,)) == [(0, 0), (0, 1), (1, 0)]


async def test_a_clock_that_was_set_back_does_not_change_the_order_of_a_partition() -> None:
    assert await in_order((10, 1, 2, 20), (5, 15)) == [(1, 0), (0, 0), (0, 1), (0, 2), (1, 1), (0, 3)]


async def test_nothing_is_nothing() -> None:
    assert await in_order() == []
    assert await in_order((), ()) == []
