"""What a worker under measurement is asked to do. Standard library only: peers have another environment."""

import dataclasses
import json
import struct
import sys
from enum import StrEnum

HEAD = struct.Struct(">QI8s")  # sequence number, microseconds of the call, key


class Work(StrEnum):
    """Kind of work a worker does on each record."""

    COPY = "copy"  # first topic to second, bytes untouched
    RECODE = "recode"  # from each topic to the next, Avro decoded and encoded at each
    CALL = "call"  # as COPY, after a wait as long as the record says


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of one worker, handed over as its only argument."""

    work: Work
    bootstrap: str
    group: str
    topics: tuple[str, ...]
    partitions: int
    in_flight: int
    linger_ms: float = 2.0
    schema: str = ""  # JSON of the Avro schema, for RECODE

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The topics as (read, written)."""
        return tuple(zip(self.topics, self.topics[1:], strict=False))

    def dump(self) -> str:
        """Write the job as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_argv(cls) -> "Job":
        """Read the job of this process."""
        fields = json.loads(sys.argv[1])
        return cls(**{**fields, "work": Work(fields["work"]), "topics": tuple(fields["topics"])})


def pack(sequence: int, pause_us: int, key: str, size: int) -> bytes:
    """Make a value of `size` bytes; what follows the head does not compress to nothing."""
    head = HEAD.pack(sequence, pause_us, key.encode())
    noise = (sequence * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big").hex().encode()
    return head + (noise * (size // len(noise) + 1))[: size - len(head)]


def pause_s(value: bytes) -> float:
    """Return how long the call for this record takes."""
    pause_us: int = HEAD.unpack_from(value)[1]
    return pause_us / 1e6
