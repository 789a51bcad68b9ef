"""What a failed record leaves behind: the dead letter's headers and the request's terminal result."""

from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from schemas.ids import result_id
from schemas.records import ErrorReport, Origin, Result
from streams.errors import PipelineError, RequestInvalid, RequestRejected
from streams.lanes import Received
from streams.producer import Headers
from streams.tracing import header

STREAMS = "__streams.errors."
FORGESTREAM = "forgestream."
ATTEMPTS = f"{FORGESTREAM}attempts"
FIRST_FAILED_AT = f"{FORGESTREAM}first-failed-at"
REDRIVES = f"{FORGESTREAM}redrives"
CODE_VERSION = f"{FORGESTREAM}version"
LONGEST_MESSAGE = 2_000
LONGEST_STACK = 16_000
LONGEST_COUNT = 9  # digits; the header is whatever a producer wrote
SCHEMA_PREFIX_BYTES = 5


def dead_letter_headers(
    received: Received, error: PipelineError, *, stage: str, attempts: int, at: datetime, stack: str
) -> Headers:
    """Return the original headers and what went wrong, under Kafka Streams' names and our own.

    A redriven record that fails again keeps the time of its first failure and the sum of its attempts.
    """
    value = received.value or b""
    has_schema = len(value) >= SCHEMA_PREFIX_BYTES and value[0] == 0
    attempts += counted(header(received.headers, ATTEMPTS))
    found = {
        f"{STREAMS}exception": type(error.__cause__ or error).__name__,
        f"{STREAMS}message": _bounded(error.message, LONGEST_MESSAGE),
        f"{STREAMS}stacktrace": _bounded(stack, LONGEST_STACK),
        f"{STREAMS}topic": received.topic,
        f"{STREAMS}partition": str(received.partition),
        f"{STREAMS}offset": str(received.offset),
        f"{FORGESTREAM}stage": stage,
        f"{FORGESTREAM}error-code": error.code,
        CODE_VERSION: code_version(),
        ATTEMPTS: str(attempts),
        FIRST_FAILED_AT: (header(received.headers, FIRST_FAILED_AT) or at.isoformat().encode()).decode(
            "utf-8", "replace"
        ),
        f"{FORGESTREAM}schema-id": str(int.from_bytes(value[1:SCHEMA_PREFIX_BYTES], "big")) if has_schema else "",
    }
    kept = [(name, content) for name, content in received.headers if name not in found]
    return kept + [(name, text.encode("utf-8", "replace")) for name, text in found.items()]


def counted(content: bytes | None) -> int:
    """Return the number in a header that counts; 0 when it is none, for it is whatever a producer wrote."""
    return int(content) if content is not None and content.isdigit() and len(content) <= LONGEST_COUNT else 0


@cache
def code_version() -> str:
    """Return the version of the code that runs; empty in a tree that is not installed."""
    try:
        return version("forgestream")
    except PackageNotFoundError:
        return ""


def failed_result(origin: Origin, error: PipelineError, at: datetime) -> Result:
    """Return the terminal result of a request that did not get an answer."""
    reports: tuple[ErrorReport, ...] = (_report(error, at),)
    if isinstance(error, RequestInvalid):
        reports = tuple(_report(type(error)([problem]), at) for problem in error.problems)
    result = Result(origin=origin, result_id=result_id(origin.request_id), status=error.ends_as, errors=reports)
    return replace(result, risk=error.risk, limits=error.limits) if isinstance(error, RequestRejected) else result


def _report(error: PipelineError, at: datetime) -> ErrorReport:
    found = error.report(at)
    return ErrorReport(
        error_code=found.error_code,
        message=_bounded(found.message, LONGEST_MESSAGE),
        severity=found.severity,
        context={name: _bounded(text, LONGEST_MESSAGE) for name, text in found.context.items()},
        cause=_bounded(found.cause, LONGEST_MESSAGE) if found.cause is not None else None,
        timestamp=found.timestamp,
    )


def _bounded(text: str, longest: int) -> str:
    """Return text that any record can carry: encodable and short."""
    return text.encode("utf-8", "replace").decode()[:longest]
