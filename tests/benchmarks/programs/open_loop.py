"""Calls at a steady rate, each timed from the moment it was due. Standard library only: peers have another environment."""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable

WARM_UP = 20  # calls one after the other before the first that is paced: what is loaded late
WARM_UP_S = 3


async def paced(call: Callable[[int], Awaitable[None]], per_s: float, seconds: float) -> dict[str, float]:
    """Return percentiles of the calls after the warm-up, and the CPU time of this process for each."""
    took: list[float] = []

    async def timed(number: int, due: float) -> None:
        await call(number)
        took.append(1000 * (time.perf_counter() - due))

    warm, count = int(per_s * WARM_UP_S), int(per_s * (WARM_UP_S + seconds))
    began, cpu_s = time.perf_counter(), 0.0
    under_way: set[asyncio.Task[None]] = set()
    for number in range(count):
        if number == warm:
            gc.collect()
            gc.freeze()
            cpu_s = time.process_time()
        due = began + number / per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.ensure_future(timed(number, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    counted = sorted(took[warm:])
    return {
        "p50 ms": counted[len(counted) // 2],
        "p99 ms": counted[len(counted) * 99 // 100],
        "CPU ms": 1000 * (time.process_time() - cpu_s) / len(counted),
    }


def report(found: dict[str, float]) -> None:
    """Print what was found for whoever started this program."""
    json.dump(found, sys.stdout)
