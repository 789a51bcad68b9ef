"""The outputs of one record: held until its handler has returned, then sent, then awaited by its acknowledgement."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from streams.errors import RecordInvalid
from streams.producer import Headers
from streams.scope import Scope
from streams.topic import Topic

if TYPE_CHECKING:
    from streams.engine import Engine

S = TypeVar("S")
STAGE_HEADER = "forgestream-stage"
SENT_AT_HEADER = "forgestream-sent-at"


class Outbox:
    """The `Emit` of one attempt at one record."""

    __slots__ = ("_engine", "_held", "_scope")

    def __init__(self, engine: "Engine", scope: Scope) -> None:
        self._engine = engine
        self._scope = scope
        self._held: list[tuple[str, bytes | None, bytes, bool]] = []

    def __call__(self, topic: Topic[S], record: S) -> None:
        """Send `record` once the handler has returned.

        Raises:
            RecordUnencodable: the record breaks its schema.
            RecordInvalid: it is larger than the topic allows.
        """
        self._held.append(self._encoded(topic, record))

    def now(self, topic: Topic[S], record: S) -> None:
        """Send `record` at once."""
        self._produce([self._encoded(topic, record)])

    def at_end(self, callback: Callable[[bool], None]) -> None:
        """Call `callback` when nothing more will be tried with this record here."""
        self._scope.at_end.append(callback)

    def send(self) -> None:
        """Send everything held."""
        if self._held:
            self._produce(self._held)
            self._held = []

    def _encoded(self, topic: Topic[Any], record: Any) -> tuple[str, bytes | None, bytes, bool]:  # noqa: ANN401 - of the topic's type
        value = self._engine.serde(topic).encode(record)
        if len(value) > topic.max_message_bytes:
            raise RecordInvalid(
                f"a record of {len(value):,} bytes is too large for topic {topic.name} ({topic.max_message_bytes:,} allowed)",
            )
        if topic.record is bytes:
            return topic.name, self._scope.slot.received.key, value, True
        return topic.name, topic.key(record).encode(), value, False

    def _produce(self, outputs: list[tuple[str, bytes | None, bytes, bool]]) -> None:
        slot = self._scope.slot
        received = slot.received
        stamped: Headers = ()
        slot.pending += len(outputs)
        produce = self._engine.producer.produce
        unsent = len(outputs)
        try:
            for name, key, value, passes_through in outputs:
                if not passes_through and not stamped:
                    stamped = self._headers()
                produce(
                    name,
                    value,
                    key,
                    on_delivery=slot.delivered,
                    headers=received.headers if passes_through else stamped,
                    timestamp_ms=received.timestamp,
                )
                unsent -= 1
        finally:
            slot.pending -= unsent  # nobody will confirm what the producer did not take

    def _headers(self) -> Headers:
        headers = [
            (STAGE_HEADER, self._scope.stage.encode()),
            (SENT_AT_HEADER, b"%.3f" % (time.time() * 1000.0)),
        ]
        if self._scope.traceparent:
            headers.append(("traceparent", self._engine.tracing.outgoing(self._scope.traceparent)))
        return headers
