"""Ctrl-C and SIGTERM end the demo the way its end does: everything is stopped in order."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Cancel the current task at the first signal; yields a function that says whether there was one."""
    me = asyncio.current_task()
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []

    def cancel(number: signal.Signals) -> None:
        if not received and me is not None:
            me.cancel()
        received.append(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, cancel, number)
    try:
        yield lambda: bool(received)
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
