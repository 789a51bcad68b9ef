"""How a handler sends records."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from streams.topic import Topic

S = TypeVar("S")


class Emit(Protocol):
    """Handed to every handler. Outputs are sent when the handler has returned, so a retry sends nothing twice."""

    def __call__(self, topic: Topic[S], record: S) -> None:
        """Send `record` to `topic` under the topic's key once the handler has returned."""

    def now(self, topic: Topic[S], record: S) -> None:
        """Send at once, whatever becomes of the handler: for token streams, and outcomes of calls that did happen."""

    def at_end(self, callback: Callable[[bool], None]) -> None:
        """Call `callback` when nothing more will be tried with this record here; asked for once, it holds for every try.

        True when the record was handled or given up, its outputs being on their way; False when it was not and will be
        read again, here or by another worker.
        """

    async def confirmed(self, topic: Topic[S], record: S) -> None:
        """Send at once and return when the broker has it: for what must be known before the next step is taken."""
