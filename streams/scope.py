"""What is being handled right now: read by logs, traces and tables, set by the guard alone."""

from contextvars import ContextVar
from dataclasses import dataclass

from schemas.records import Origin
from streams.lanes import Slot


@dataclass(slots=True)
class Scope:
    """One record in the hands of one stage."""

    stage: str
    slot: Slot
    origin: Origin | None = None
    traceparent: bytes = b""


current: ContextVar[Scope | None] = ContextVar("forgestream_scope", default=None)
