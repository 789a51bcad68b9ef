"""What a circuit breaker says at a moment, and the outcomes it learns from. `watch` alone changes its state."""

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.records import CircuitState, Outcome, Phase
from streams.errors import PipelineError
from streams.partitions import partition

VECTOR_STORE = "vector_store"  # dependencies that are not models; a model's is its name
DATAFORGE_PACKS = "dataforge_packs"  # beside feedback: what is wrong with the one need not be with the other
DATAFORGE_FEEDBACK = "dataforge_feedback"
PROFILES = "profiles"
SOPHIA = "sophia"
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def phase(state: CircuitState | None, at: datetime) -> Phase:
    """Return the phase of a circuit. Half open is derived from the time, never stored; an unknown circuit is closed."""
    if state is None:
        return Phase.CLOSED
    if state.forced is not None:
        return state.forced
    if state.open_until is None:
        return Phase.CLOSED
    return Phase.OPEN if at < state.open_until else Phase.HALF_OPEN


def unwell(circuits: Mapping[str, CircuitState]) -> Collection[str]:
    """Return the dependencies whose circuit keeps calls back, or would if nobody had disabled it."""
    return frozenset(
        name for name, state in circuits.items() if state.open_until is not None or state.forced is Phase.FORCED_OPEN
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """What a request may call. Of the half-open ones in `probing` it may call one, and only before all others.

    `spare` are half-open ones whose probe belongs to somebody else: for a request that has nobody else to ask.
    """

    refused: Mapping[str, Phase]
    probing: Collection[str] = frozenset()
    spare: Collection[str] = frozenset()


class Gate:
    """Lets the calls of one stage through, or not.

    While a circuit is half open, one call in the whole cluster probes it at a time, without anybody asking anybody: time is cut into
    spans, each span belongs to one partition of the stage's topic, and only the first request of that partition in that span is let
    through. A partition is read by one worker, and this gate remembers the spans it has used.

    Args:
        circuits: the view on the circuits.
        partitions: of the topic the stage reads.
    """

    def __init__(self, circuits: Mapping[str, CircuitState], partitions: int) -> None:
        self._circuits = circuits
        self._partitions = partitions
        self._probed: dict[str, tuple[datetime, int]] = {}

    def look(self, dependencies: Collection[str], at: datetime, key: str) -> Passes:
        """Return which of the dependencies a request with this key may call."""
        refused: dict[str, Phase] = {}
        probing, spare = set(), set()
        for name in dependencies:
            state = self._circuits.get(name)
            now = phase(state, at)
            if state is None or now in {Phase.CLOSED, Phase.DISABLED}:
                continue
            if now is Phase.HALF_OPEN and self._probed.get(name) != (span := _span(state, at)):
                if partition(key.encode(), self._partitions) == prober(name, span[1], self._partitions):
                    probing.add(name)
                    continue
                spare.add(name)
            refused[name] = now
        return Passes(refused=refused, probing=probing, spare=spare)

    def take(self, dependency: str, at: datetime) -> None:
        """Remember that a call is made now; of a half-open circuit, nobody here makes another one in this span."""
        state = self._circuits.get(dependency)
        if state is not None and phase(state, at) is Phase.HALF_OPEN:
            self._probed[dependency] = _span(state, at)

    def lets_through(self, dependency: str, at: datetime, key: str) -> bool:
        """Whether a request may call the one dependency its stage has; it then has to."""
        if dependency in self.look((dependency,), at, key).refused:
            return False
        self.take(dependency, at)
        return True


def prober(dependency: str, span: int, partitions: int) -> int:
    """Return the partition whose requests may probe in a span; they take turns, as some may have no requests."""
    return (zlib.crc32(dependency.encode()) + span) % partitions


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a call of a model took beside its time."""

    ttft_ms: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0


NOTHING = Used()


def outcome(
    dependency: str,
    *,
    started: datetime,
    ended: datetime,
    request_id: str | None,
    error: PipelineError | None = None,
    used: Used = NOTHING,
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
        outcome_id=f"{dependency}/{request_id}/{(started - _EPOCH) // timedelta(milliseconds=1)}"
        if request_id
        else None,
        ttft_ms=used.ttft_ms,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_usd=used.cost_usd,
    )


def milliseconds(started: datetime, ended: datetime) -> float:
    """Return the time between; 0 when the clock was set back meanwhile."""
    return max(0.0, (ended - started).total_seconds() * 1000.0)


def _span(state: CircuitState, at: datetime) -> tuple[datetime, int]:
    """Return the time the circuit became half open, and the number of the span since."""
    began = state.open_until or at
    return began, int((at - began).total_seconds() / max(state.probe_s, 0.001))
