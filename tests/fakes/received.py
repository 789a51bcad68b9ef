"""A record as a consumer hands it over."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FakeReceived:
    """Fake of `streams.lanes.Received`."""

    offset: int
    value: bytes | None = b""
    key: bytes | None = b"k"
    topic: str = "texts"
    partition: int = 0
    timestamp: int = 1_795_262_400_000
    headers: Sequence[tuple[str, bytes]] = ()
