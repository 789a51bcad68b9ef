"""Calls at a steady rate, each timed from the moment it was due. Standard library only: peers have another environment."""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable

WARM_UP_S = 3


async def paced(call: Callable[[int], Awaitable[None]], per_s: float, seconds: float) -> list[float]:
    """Return the milliseconds of every call after the warm-up."""
    took: list[float] = []

    async def timed(number: int, due: float) -> None:
        await call(number)
        took.append(1000 * (time.perf_counter() - due))

    warm, count = int(per_s * WARM_UP_S), int(per_s * (WARM_UP_S + seconds))
    began = time.perf_counter()
    under_way: set[asyncio.Task[None]] = set()
    for number in range(count):
        if number == warm:
            gc.collect()
            gc.freeze()
        due = began + number / per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.ensure_future(timed(number, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    return took[warm:]


def report(took: list[float]) -> None:
    """Print the percentiles for whoever started this program."""
    took.sort()
    json.dump({"p50 ms": took[len(took) // 2], "p99 ms": took[len(took) * 99 // 100], "calls": len(took)}, sys.stdout)
