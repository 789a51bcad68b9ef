"""W3C trace context through Kafka headers; spans only where an exporter is configured."""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from streams.settings import TelemetrySettings

if TYPE_CHECKING:
    from schemas.records import Origin
    from streams.lanes import Received

TRACEPARENT = "traceparent"
_TRACE_ID = re.compile(r"(?!0+$)[0-9a-f]{32}")
_NO_SPAN = nullcontext()
_PROPAGATOR = TraceContextTextMapPropagator()


def header(headers: Sequence[tuple[str, bytes]], name: str) -> bytes | None:
    """Return the value of the first header of that name."""
    for key, value in headers:
        if key == name:
            return value
    return None


def root_traceparent(origin: "Origin") -> bytes:
    """Return the trace of a request that came without one: its UUID is the trace id, so that logs and traces meet."""
    digits = origin.request_id.replace("-", "").lower()
    return f"00-{digits}-{digits[16:]}-00".encode() if _TRACE_ID.fullmatch(digits) else b""


class Tracing:
    """Starts a span for each record when `tracer` is given; passes the incoming context on unchanged otherwise."""

    def __init__(self, tracer: trace.Tracer | None = None) -> None:
        self._tracer = tracer

    def span(self, stage: str, group: str, received: "Received", traceparent: bytes) -> AbstractContextManager[object]:
        """Return the span of one record at one stage, named by OpenTelemetry's messaging conventions."""
        if self._tracer is None:
            return _NO_SPAN
        parent = _PROPAGATOR.extract({TRACEPARENT: traceparent.decode("ascii", "replace")})
        return self._tracer.start_as_current_span(
            f"process {received.topic}",
            context=parent,
            kind=trace.SpanKind.CONSUMER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.destination.name": received.topic,
                "messaging.destination.partition.id": str(received.partition),
                "messaging.consumer.group.name": group,
                "messaging.kafka.offset": received.offset,
                "forgestream.stage": stage,
            },
        )

    def outgoing(self, traceparent: bytes) -> bytes:
        """Return the context for outputs: the current span's, or the incoming one."""
        if self._tracer is None:
            return traceparent
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get(TRACEPARENT, "").encode() or traceparent


def open_tracing(telemetry: TelemetrySettings, service: str) -> Tracing:
    """Return tracing as configured; without an endpoint no exporter and no thread exists."""
    if not telemetry.otlp_endpoint:
        return Tracing()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - costs 0.2 s
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - only where it is used

    provider = TracerProvider(resource=Resource.create({"service.name": f"forgestream-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=telemetry.otlp_endpoint)))
    return Tracing(provider.get_tracer("forgestream"))
