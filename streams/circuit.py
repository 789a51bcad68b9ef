"""What a circuit breaker says at a moment, and the outcomes it learns from. `watch` alone changes its state."""

from datetime import datetime

from schemas.records import CircuitState, Outcome, Phase
from streams.errors import PipelineError
from streams.lots import lot

VECTOR_STORE = "vector_store"  # dependencies that are not models; a model's is its name
DATAFORGE = "dataforge"

# Share of the requests that probe a half-open circuit. Fixed, since every reader of a circuit has to agree on it.
PROBE_SHARE = 0.25


def phase(state: CircuitState | None, at: datetime) -> Phase:
    """Return the phase of a circuit. Half open is derived from the time, never stored; an unknown circuit is closed."""
    if state is None:
        return Phase.CLOSED
    if state.forced is not None:
        return state.forced
    if state.open_until is None:
        return Phase.CLOSED
    return Phase.OPEN if at < state.open_until else Phase.HALF_OPEN


def lets_through(state: CircuitState | None, at: datetime, request_id: str) -> bool:
    """Whether this request may call the dependency; of a half-open circuit, a fixed share of requests may."""
    now = phase(state, at)
    if now is Phase.HALF_OPEN and state is not None:
        return lot(f"probe {state.dependency}", request_id) < PROBE_SHARE
    return now in {Phase.CLOSED, Phase.DISABLED}


def outcome(
    dependency: str, *, started: datetime, ended: datetime, request_id: str | None, error: PipelineError | None = None
) -> Outcome:
    """Return the record of one call.

    Only a transient failure counts against the circuit: a refusal is about one request, and anybody could open a
    circuit by sending requests that are refused.
    """
    return Outcome(
        dependency=dependency,
        ok=error is None or not error.retryable,
        error_code=error.code if error is not None else None,
        latency_ms=milliseconds(started, ended),
        request_id=request_id,
        at=ended,
    )


def milliseconds(started: datetime, ended: datetime) -> float:
    """Return the time between; 0 when the clock was set back meanwhile."""
    return max(0.0, (ended - started).total_seconds() * 1000.0)
