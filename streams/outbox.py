"""The outputs of one record: held until its handler has returned, then sent, then awaited by its acknowledgement."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from streams.errors import RecordInvalid
from streams.producer import Headers, OnDelivery
from streams.scope import Scope
from streams.topic import Topic

if TYPE_CHECKING:
    from streams.engine import Engine

S = TypeVar("S")
STAGE_HEADER = "forgestream-stage"
SENT_AT_HEADER = "forgestream-sent-at"
BY_KEY = -1  # the partitioner's choice


Output = tuple[str, bytes | None, bytes, int, bool]  # topic, key, value, partition, whether it passes through


class Outbox:
    """The `Emit` of one attempt at one record."""

    __slots__ = ("_engine", "_held", "_scope")

    def __init__(self, engine: "Engine", scope: Scope) -> None:
        self._engine = engine
        self._scope = scope
        self._held: list[Output] = []

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

    async def confirmed(self, topic: Topic[S], record: S) -> None:
        """Send `record` at once and return when the broker has it; an unconfirmed one stops the worker, as any other."""
        slot, stored = self._scope.slot, self._engine.loop.create_future()

        def delivered(error: object, message: object) -> None:
            slot.delivered(error, message)
            if error is None and not stored.done():
                stored.set_result(None)

        self._produce([self._encoded(topic, record)], delivered)
        await stored

    def send(self) -> None:
        """Send everything held."""
        if self._held:
            self._produce(self._held)
            self._held = []

    def _encoded(self, topic: Topic[Any], record: Any) -> Output:  # noqa: ANN401 - of the topic's type
        value = self._engine.serde(topic).encode(record)
        if len(value) > topic.max_message_bytes:
            raise RecordInvalid(
                f"a record of {len(value):,} bytes is too large for topic {topic.name} ({topic.max_message_bytes:,} allowed)",
            )
        received = self._scope.slot.received
        if topic.record is bytes:
            return topic.name, received.key, value, BY_KEY, True
        partition = received.partition if topic.beside_source else BY_KEY
        return topic.name, topic.key(record).encode(), value, partition, False

    def _produce(self, outputs: list[Output], on_delivery: OnDelivery | None = None) -> None:
        """Hand outputs to the producer; somebody waits for them when there is an `on_delivery`."""
        slot = self._scope.slot
        received = slot.received
        stamped: Headers = ()
        slot.pending += len(outputs)
        produce = self._engine.producer.produce
        unsent = len(outputs)
        try:
            for name, key, value, partition, passes_through in outputs:
                if not passes_through and not stamped:
                    stamped = self._headers()
                produce(
                    name,
                    value,
                    key,
                    on_delivery=on_delivery or slot.delivered,
                    headers=received.headers if passes_through else stamped,
                    timestamp_ms=received.timestamp,
                    partition=partition,
                    awaited=on_delivery is not None,
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
