"""What is being handled right now: read by logs, traces and tables, set by the guard alone."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from schemas.records import Origin
from streams.lanes import Slot


@dataclass(slots=True)
class Scope:
    """One record in the hands of one stage."""

    stage: str
    slot: Slot
    origin: Origin | None = None
    traceparent: bytes = b""
    at_end: list[Callable[[bool], None]] = field(default_factory=list)

    def end(self, *, done: bool) -> None:
        """Tell those who asked that nothing more will be tried with this record here."""
        for callback in self.at_end:
            callback(done)


current: ContextVar[Scope | None] = ContextVar("forgestream_scope", default=None)
