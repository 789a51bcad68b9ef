"""Work beside the records does not end without a word."""

import asyncio
import logging

import pytest

from streams.endless import Endless


async def test_work_that_has_ended_is_reported_and_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    """Whether it failed, came to an end, or was cancelled by what it waited for."""
    fourth = asyncio.Event()
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise IndexError("index out of range")
        if begun == 2:
            raise asyncio.CancelledError
        if begun == 4:
            fourth.set()
            await asyncio.Event().wait()

    endless = Endless(work, name="the pump", again_s=0.0)
    endless.start()
    async with asyncio.timeout(10):
        await fourth.wait()
    await endless.close()

    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in said] == ["the pump has ended and begins again"] * 3
    assert [bool(record.exc_info and record.exc_info[0] is IndexError) for record in said] == [True, False, False]


async def test_closing_waits_for_the_work_to_tidy_up() -> None:
    began, tidy = asyncio.Event(), False

    async def work() -> None:
        nonlocal tidy
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            tidy = True

    endless = Endless(work, name="a follower")
    endless.start()
    endless.start()
    await began.wait()

    await endless.close()
    await endless.close()

    assert tidy
    assert not endless.begun
