import asyncio

import pytest

from streams.errors import ModelMissing
from topology.together import together


async def test_the_first_failure_ends_the_rest_and_is_raised_as_it_is() -> None:
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fails() -> None:
        raise ModelMissing("install it")

    with pytest.raises(ModelMissing, match="install it"):
        await together(waits(), fails())

    assert ended.is_set()


async def test_nothing_to_do_is_done_at_once() -> None:
    await together()
