"""How outcomes and commands move a circuit breaker. Half open is derived from the time, see `streams.circuit.phase`.

The states and what leads from one to the other are those of resilience4j 2 (CircuitBreaker, count-based window, one call permitted while
half open), and consecutive failures besides, which notice an outage before a rate does.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from schemas.records import CircuitState, Command, CommandAction, Outcome, Phase
from streams import pace
from streams.cells import CELLS
from streams.circuit import phase
from streams.orders import with_order
from streams.repeats import remembered, repeated
from streams.settings import WatchSettings

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
WELL, SLOW, FAILED, BOTH = ".", "s", "f", "x"  # one call, in `CircuitState.calls`
_ROUNDING = timedelta(milliseconds=1)  # of times in records
_ORDERS = frozenset({CommandAction.FORCE_OPEN, CommandAction.DISABLE, CommandAction.RESET})


def unwatched(dependency: str) -> CircuitState:
    """Return the circuit of a dependency that was never called."""
    return CircuitState(dependency=dependency, as_of=NEVER, counted={})


def dependencies(seen: Outcome | Command) -> Sequence[str]:
    """Return the dependency a record is about; none for a command to a cell."""
    if isinstance(seen, Outcome):
        return (seen.dependency,)
    return (seen.subject,) if seen.subject not in CELLS and seen.action in _ORDERS else ()


def after(state: CircuitState, seen: Outcome | Command, settings: WatchSettings) -> CircuitState:
    """Return the circuit after an outcome or a command."""
    if isinstance(seen, Command):
        return obeyed(state, seen)
    if seen.outcome_id is not None:
        if repeated(state.seen, seen.outcome_id):
            return state
        state = replace(state, seen=remembered(state.seen, seen.outcome_id, settings.remembered))
    return judged(
        replace(state, as_of=max(state.as_of, seen.at), probe_s=settings.probe_s, paces=_paces(state, seen, settings)),
        seen,
        settings,
    )


def judged(state: CircuitState, outcome: Outcome, settings: WatchSettings) -> CircuitState:
    """Count a call where it counts.

    A refusal says nothing about the dependency. While the circuit is open, or forced, nothing counts; while it is half open, only the
    probe does, and not a call that began before.
    """
    if state.forced is not None or (outcome.ok and outcome.error_code is not None):
        return state
    state = replace(state, last_error_code=outcome.error_code or state.last_error_code)
    match phase(state, outcome.at):
        case Phase.CLOSED:
            return counted(state, outcome, settings)
        case Phase.HALF_OPEN if state.open_until is not None and _began(outcome) >= state.open_until - _ROUNDING:
            return probed(state, outcome, settings)
        case _:
            return state


def counted(state: CircuitState, outcome: Outcome, settings: WatchSettings) -> CircuitState:
    """Count a call of a closed circuit: too many failures in a row open it, and too high a rate of failed or slow calls."""
    at = outcome.at
    calls = (state.calls + _letter(outcome, settings))[-settings.window_calls :]
    runs_on = state.first_failure_at is not None and (at - state.first_failure_at).total_seconds() <= settings.window_s
    if outcome.ok:
        state = replace(state, calls=calls, failures=0, first_failure_at=None)
    else:
        state = replace(
            state,
            calls=calls,
            failures=state.failures + 1 if runs_on else 1,
            first_failure_at=state.first_failure_at if runs_on else at,
        )
    reason = _too_much(state, settings)
    return _opened(state, at, reason, settings) if reason else state


def probed(state: CircuitState, outcome: Outcome, settings: WatchSettings) -> CircuitState:
    """Close the circuit when its probe did well, open it again when it failed or was slow."""
    letter = _letter(outcome, settings)
    if letter == WELL:
        return _closed(state, outcome.at, "the probe did well")
    return _opened(state, outcome.at, "the probe was slow" if outcome.ok else "the probe failed", settings)


def obeyed(state: CircuitState, command: Command) -> CircuitState:
    """Obey a command once; a repeated id changes nothing. Reset also closes the circuit."""
    if command.command_id in state.commands:
        return state
    obeyed_now = replace(
        state,
        commands=with_order(state.commands, command),
        as_of=max(state.as_of, command.at),
    )
    reason = f"{command.action} by {command.issued_by}: {command.reason}"
    match command.action:
        case CommandAction.FORCE_OPEN | CommandAction.DISABLE:
            forced = Phase.FORCED_OPEN if command.action is CommandAction.FORCE_OPEN else Phase.DISABLED
            return replace(obeyed_now, forced=forced, phase=forced, since=command.at, reason=reason)
        case CommandAction.RESET:
            return _closed(replace(obeyed_now, forced=None), command.at, reason)
        case _:
            return obeyed_now


def _too_much(state: CircuitState, settings: WatchSettings) -> str:
    """Return why a closed circuit has to open; empty when it need not."""
    if state.failures >= settings.failure_threshold:
        return f"{state.failures} failures in a row"
    count = len(state.calls)
    if count < min(settings.min_calls, settings.window_calls):
        return ""
    failed = state.calls.count(FAILED) + state.calls.count(BOTH)
    slow = state.calls.count(SLOW) + state.calls.count(BOTH)
    if failed >= settings.failure_rate * count:
        return f"{failed} of {count} calls failed"
    return f"{slow} of {count} calls were slow" if slow >= settings.slow_rate * count else ""


def _opened(state: CircuitState, at: datetime, reason: str, settings: WatchSettings) -> CircuitState:
    return replace(
        state,
        open_until=at + timedelta(seconds=settings.recovery_s),
        opened=state.opened + 1,
        calls="",
        phase=Phase.OPEN,
        since=at,
        reason=reason,
    )


def _closed(state: CircuitState, at: datetime, reason: str) -> CircuitState:
    return replace(
        state,
        failures=0,
        first_failure_at=None,
        open_until=None,
        calls="",
        phase=Phase.CLOSED,
        since=at,
        reason=reason,
    )


def _letter(outcome: Outcome, settings: WatchSettings) -> str:
    slow = outcome.latency_ms > settings.slow_call_s * 1000.0
    if outcome.ok:
        return SLOW if slow else WELL
    return BOTH if slow else FAILED


def _paces(state: CircuitState, outcome: Outcome, settings: WatchSettings) -> str:
    """Note how long a model was silent; that of calls which lost to their hedge too, or the slow ones would be missing."""
    if not outcome.ttft_ms > 0:
        return state.paces
    return (state.paces + pace.letter(outcome.ttft_ms))[-settings.window_calls :]


def _began(outcome: Outcome) -> datetime:
    return outcome.at - timedelta(milliseconds=min(max(outcome.latency_ms, 0.0), 1e9))
