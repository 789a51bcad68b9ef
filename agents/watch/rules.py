"""How outcomes and commands move a circuit breaker. Half open is derived from the time, see `streams.circuit.phase`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from schemas.records import CircuitState, Command, CommandAction, Domain, Outcome, Phase, Task
from streams.circuit import phase
from streams.settings import WatchSettings

CELLS = frozenset(f"{domain}/{task}" for domain in Domain for task in Task)  # subjects of commands that are not for us
COMMANDS_REMEMBERED = 100
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
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
    return succeeded(state, seen) if seen.ok else failed(state, seen, settings)


def succeeded(state: CircuitState, outcome: Outcome) -> CircuitState:
    """Close the circuit: whatever came before, the dependency has answered."""
    return _closed(replace(state, as_of=max(state.as_of, outcome.at)))


def failed(state: CircuitState, outcome: Outcome, settings: WatchSettings) -> CircuitState:
    """Count a failure.

    Enough of them in a row within the window open a closed circuit, one reopens a half-open circuit. While it is open,
    calls that began before it opened may still fail; they do not keep it open for longer.
    """
    at = outcome.at
    before = phase(replace(state, forced=None), at)
    runs_on = state.first_failure_at is not None and (at - state.first_failure_at).total_seconds() <= settings.window_s
    continues = runs_on or before is not Phase.CLOSED
    failures = state.failures + 1 if continues else 1
    opens = before is Phase.HALF_OPEN or (before is Phase.CLOSED and failures >= settings.failure_threshold)
    return replace(
        state,
        failures=failures,
        first_failure_at=state.first_failure_at if continues else at,
        open_until=at + timedelta(seconds=settings.recovery_s) if opens else state.open_until,
        opened=state.opened + opens,
        last_error_code=outcome.error_code,
        as_of=max(state.as_of, at),
    )


def obeyed(state: CircuitState, command: Command) -> CircuitState:
    """Obey a command once; a repeated id changes nothing. Reset also closes the circuit."""
    if command.command_id in state.commands:
        return state
    obeyed_now = replace(
        state,
        commands=(*state.commands, command.command_id)[-COMMANDS_REMEMBERED:],
        as_of=max(state.as_of, command.at),
    )
    match command.action:
        case CommandAction.FORCE_OPEN:
            return replace(obeyed_now, forced=Phase.FORCED_OPEN)
        case CommandAction.DISABLE:
            return replace(obeyed_now, forced=Phase.DISABLED)
        case CommandAction.RESET:
            return replace(_closed(obeyed_now), forced=None)
        case _:
            return obeyed_now


def _closed(state: CircuitState) -> CircuitState:
    return replace(state, failures=0, first_failure_at=None, open_until=None)
