"""The time of a replay: that of the record being handled."""

from datetime import UTC, datetime, timedelta

from streams.scope import current


class EventClock:
    """A `Clock` that says when the record being handled was written, plus what calls made for its request have taken.

    Records keep their time from stage to stage, so deadlines and windows pass as they did, however fast or slow the
    replay runs. Only calls of models take time: as long as they took when they were made.
    """

    def __init__(self) -> None:
        self._elapsed: dict[str, timedelta] = {}

    def now(self) -> datetime:
        """Return the time, UTC; outside of any record that of the machine."""
        scope = current.get()
        if scope is None:
            return datetime.now(UTC)
        at = datetime.fromtimestamp(scope.slot.received.timestamp / 1000, UTC)
        return at if scope.origin is None else at + self._elapsed.get(scope.origin.request_id, timedelta())

    def spend(self, request_id: str, milliseconds: float) -> None:
        """Let time pass for one request."""
        spent = timedelta(milliseconds=max(0.0, milliseconds))
        self._elapsed[request_id] = self._elapsed.get(request_id, timedelta()) + spent

    def forget(self, request_id: str) -> None:
        """Forget a request that has ended."""
        self._elapsed.pop(request_id, None)
