"""The same ten orders for plain Faust and for our engine: number 5 meets a failure."""

from dataclasses import astuple, dataclass
from enum import StrEnum

from tests.one_unit import GROUP_SUFFIX

ORDERS = 10
POISON = 5
SMALL_BYTES = 2_000  # largest record of the output topic while a delivery must fail
GARBAGE = b"\xff\x00 these bytes are no order"


class Failure(StrEnum):
    """What happens to order 5."""

    RAISING = "raising"  # its handler raises
    UNDECODABLE = "undecodable"  # it is garbage
    UNDELIVERABLE = "undeliverable"  # the broker refuses its output


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run reads and writes; the arguments of its program."""

    failure: str
    group: str
    reads: str
    writes: str
    dead_letters: str
    results: str

    @classmethod
    def of(cls, failure: Failure, namespace: str) -> "Place":
        """Name everything after the namespace."""
        names = (GROUP_SUFFIX, "orders", "settled", "dead-letters", "results")
        return cls(failure, *(f"{namespace}{name}" for name in names))

    @property
    def arguments(self) -> tuple[str, ...]:
        """The place as a command line."""
        return astuple(self)
