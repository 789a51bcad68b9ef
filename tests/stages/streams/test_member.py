"""Whoever minds the consumer does not leave it without a word."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError, UnknownError

from streams.errors import ConsumerLost
from streams.member import mind


def consumer(error: Exception, *, ended: bool) -> Any:  # noqa: ANN401 - of aiokafka, without types
    """Return what is looked at of a consumer whose group has an error; its own task has ended or goes on."""

    def check_errors() -> None:
        raise error

    coordinator = SimpleNamespace(check_errors=check_errors, _coordination_task=SimpleNamespace(done=lambda: ended))
    return SimpleNamespace(_coordinator=coordinator, _fetcher=None)


@pytest.mark.parametrize(
    ("minded", "said"),
    [
        (object(), "AttributeError"),  # as a version of aiokafka without the parts that are looked at
        (consumer(UnknownError(), ended=False), "UnknownError"),
        (consumer(GroupCoordinatorNotAvailableError(), ended=True), "GroupCoordinatorNotAvailableError"),
    ],
)
async def test_a_consumer_that_gives_up_or_cannot_be_minded_stops_the_worker(minded: Any, said: str) -> None:  # noqa: ANN401 - as above
    failed: asyncio.Queue[BaseException] = asyncio.Queue()

    mind(minded, failed.put_nowait)

    async with asyncio.timeout(10):
        error = await failed.get()
    assert isinstance(error, ConsumerLost)
    assert said in error.message


async def test_whoever_is_told_to_stop_minding_stops_nothing_else() -> None:
    failed: list[BaseException] = []
    minding = mind(consumer(UnknownError(), ended=False), failed.append)
    minding.cancel()

    await asyncio.wait([minding])
    await asyncio.sleep(0)

    assert failed == []
