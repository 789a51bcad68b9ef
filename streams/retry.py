"""The one retry policy: exponential backoff with full jitter, or the other side's own wish."""

import math
from typing import Protocol

FOR_EVER = math.inf
"""The patience of a stage whose topic is the buffer while another system is down."""


class Pauses(Protocol):
    """How long to wait between tries, in seconds; a section of the settings."""

    @property
    def retry_initial_s(self) -> float: ...  # noqa: D102 - as the settings say
    @property
    def retry_max_s(self) -> float: ...  # noqa: D102


def pause_s(attempt: int, settings: Pauses, *, chance: float, wished_s: float | None) -> float:
    """Return the seconds to wait after failed attempt number `attempt` (from 1).

    `chance` is uniform in 0..1. A `Retry-After` is honoured up to the longest pause.
    """
    ceiling = min(settings.retry_max_s, settings.retry_initial_s * 2.0 ** min(attempt - 1, 32))
    if wished_s is not None:
        return min(max(wished_s, 0.0), settings.retry_max_s)
    return ceiling * (0.5 + 0.5 * chance)
