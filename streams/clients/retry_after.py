"""How long another system wishes to be left alone, by the headers of its answer."""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the server wishes; None when it says nothing that can be understood.

    A date counts from the `Date` of the same answer, so the clocks of two machines need not agree.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000.0
    wish = headers.get("retry-after", "")
    seconds = _number(wish)
    if seconds is not None or not wish:
        return seconds
    try:
        until, now = parsedate_to_datetime(wish), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None
