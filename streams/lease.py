"""How sure this worker may be that its partitions are still its own.

A group gives a member's partitions to others when it has heard nothing of it for the session timeout, and the member learns of it only
when it asks. A process that was frozen, or cut off, would go on as if nothing had happened and write over its successor. So nothing is
begun and nothing is sent once the last heartbeat that the group has confirmed is older than the session timeout, counted from the moment
it was sent: the group's own patience ends later. The clock goes on while the process, or the machine, sleeps.

What this leaves open: a process frozen between this look and the producer's socket. See `streams.counted`.
"""

import math
import time
from collections.abc import Callable

BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)  # Linux: counts suspended time too


def elapsed_s() -> float:
    """Return seconds that never go back, whatever is done to the wall clock."""
    return time.monotonic() if BOOT_CLOCK is None else time.clock_gettime(BOOT_CLOCK)


class Lease:
    """Held for ever until the first confirmation, for units that are in no group; then for a session timeout after each.

    Args:
        session_s: the group's session timeout.
        now_s: seconds that go on whatever happens to this process.
    """

    def __init__(self, session_s: float, now_s: Callable[[], float] = elapsed_s) -> None:
        self._session_s = session_s
        self._now_s = now_s
        self._until = math.inf

    @property
    def held(self) -> bool:
        """True while nobody else can have been given the partitions."""
        return self._now_s() < self._until

    @property
    def silence_s(self) -> float:
        """Seconds since the last confirmed sign of life was sent; 0 before the first."""
        return 0.0 if math.isinf(self._until) else self._now_s() - self._until + self._session_s

    def confirm(self, sent_at: float) -> None:
        """Take note that the group has confirmed a sign of life sent at `sent_at`."""
        self._until = sent_at + self._session_s
