"""Read what a worker wrote and count what is wrong with it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.cluster import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came out. Times are the broker's, in seconds since 1970."""

    lost: int
    doubled: int
    disordered: int  # records that came after a later one of their key
    started: float  # first output
    ended: float  # last output
    counted: int  # outputs after those of the first millisecond, which had been worked on before it

    @property
    def seconds(self) -> float:
        """From the first output to the last."""
        return max(self.ended - self.started, 0.001)

    @property
    def clean(self) -> bool:
        """Nothing lost, doubled or out of order."""
        return not (self.lost or self.doubled or self.disordered)


def check(outputs: Iterable[Stored], expected: int, sequence_of: Callable[[bytes], int]) -> Checked:
    """Compare outputs with the sequence numbers 0 to `expected`, each key in order."""
    seen = bytearray(expected)
    last: dict[bytes, int] = {}
    doubled = disordered = at_start = 0
    started, ended = float("inf"), 0.0
    for output in outputs:
        sequence = sequence_of(output.value)
        if seen[sequence]:
            doubled += 1
        elif sequence < last.get(output.key, -1):
            disordered += 1
        seen[sequence] = 1
        last[output.key] = max(sequence, last.get(output.key, -1))
        if output.at < started:
            started, at_start = output.at, 0
        at_start += output.at == started
        ended = max(ended, output.at)
    found = sum(seen)
    return Checked(
        lost=expected - found,
        doubled=doubled,
        disordered=disordered,
        started=started,
        ended=ended,
        counted=found + doubled - at_start,
    )
