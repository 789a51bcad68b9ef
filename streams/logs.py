"""One log configuration: JSON lines with request, session, stage and trace, or text for people."""

import logging
import sys
from datetime import UTC, datetime

import orjson

from streams.scope import current
from streams.settings import TelemetrySettings

# Libraries that narrate every step; their warnings still come through.
QUIET = (
    "faust",
    "mode",
    "aiokafka",
    "pymilvus",
    "milvus_lite",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "anthropic",
    "openai",
    "faster_whisper",
    "asyncio",
    "grpc",
)


def fields_of_scope() -> dict[str, str | int]:
    """Return what identifies the record being handled, empty outside of a stage."""
    scope = current.get()
    if scope is None:
        return {}
    received = scope.slot.received
    found: dict[str, str | int] = {
        "stage": scope.stage,
        "topic": received.topic,
        "partition": received.partition,
        "offset": received.offset,
    }
    if scope.origin is not None:
        found |= {
            "request_id": scope.origin.request_id,
            "correlation_id": scope.origin.correlation_id,
            "session_id": scope.origin.session_id or "",
            "tenant": scope.origin.tenant,
        }
    if scope.traceparent:
        _, _, after_version = scope.traceparent.partition(b"-")
        found["trace_id"] = after_version.partition(b"-")[0].decode("ascii", "replace")
    return found


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _writable(record.getMessage()),
            **fields_of_scope(),
        }
        if record.exc_info:
            line["exception"] = _writable(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()


def _writable(text: str) -> str:
    """Return text without halves of surrogate pairs, which no encoding can write."""
    return text.encode("utf-8", "replace").decode()


class TextFormatter(logging.Formatter):
    """Time, level, message, and which request it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        scope = fields_of_scope()
        about = f" [{scope['stage']} {scope.get('request_id', '')}]" if scope else ""
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():7} {_writable(record.getMessage())}{about}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(telemetry: TelemetrySettings) -> None:
    """Send every log line of the process to standard error in the chosen format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if telemetry.log_format == "json" else TextFormatter())
    logging.basicConfig(level=telemetry.log_level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
