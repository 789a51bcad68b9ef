"""How outcomes and commands move a circuit breaker."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.watch import rules
from schemas.records import CircuitState, Command, CommandAction, Outcome, Phase
from streams.circuit import lets_through, milliseconds, outcome, phase
from streams.errors import ProviderRefused, ProviderUnavailable
from streams.settings import WatchSettings
from tests.given import NOON

SETTINGS = WatchSettings(failure_threshold=3, window_s=60.0, recovery_s=30.0)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def an_outcome(seconds: float, *, ok: bool = False) -> Outcome:
    return Outcome(
        dependency="m", ok=ok, error_code=None if ok else "provider_unavailable", latency_ms=1, at=at(seconds)
    )


def a_command(action: CommandAction, command_id: str = "c1", subject: str = "m") -> Command:
    return Command(command_id=command_id, subject=subject, action=action, issued_by="ops", reason="test", at=NOON)


def after(*seen: Outcome | Command) -> CircuitState:
    return reduce(lambda state, one: rules.after(state, one, SETTINGS), seen, rules.unwatched("m"))


OPENED = (an_outcome(0), an_outcome(1), an_outcome(2))


def test_enough_failures_in_a_row_open_the_circuit_for_a_while() -> None:
    state = after(*OPENED)

    assert [phase(state, at(s)) for s in (2, 31.9, 32, 1000)] == [
        Phase.OPEN, Phase.OPEN, Phase.HALF_OPEN, Phase.HALF_OPEN,
    ]  # fmt: skip
    assert (state.failures, state.opened, state.last_error_code) == (3, 1, "provider_unavailable")


def test_a_success_between_failures_keeps_it_closed() -> None:
    state = after(an_outcome(0), an_outcome(1), an_outcome(2, ok=True), an_outcome(3), an_outcome(4))

    assert phase(state, at(5)) is Phase.CLOSED


def test_failures_further_apart_than_the_window_are_no_run() -> None:
    state = after(an_outcome(0), an_outcome(1), an_outcome(62))

    assert (phase(state, at(63)), state.failures) == (Phase.CLOSED, 1)


def test_a_probe_that_succeeds_closes_the_circuit() -> None:
    assert phase(after(*OPENED, an_outcome(40, ok=True)), at(40)) is Phase.CLOSED


def test_a_probe_that_fails_opens_it_again() -> None:
    state = after(*OPENED, an_outcome(400))

    assert [phase(state, at(s)) for s in (401, 431)] == [Phase.OPEN, Phase.HALF_OPEN]
    assert state.opened == 2


def test_calls_that_fail_late_do_not_keep_it_open_for_longer() -> None:
    assert after(*OPENED, an_outcome(20)).open_until == after(*OPENED).open_until


@pytest.mark.parametrize(
    ("action", "forced"), [(CommandAction.FORCE_OPEN, Phase.FORCED_OPEN), (CommandAction.DISABLE, Phase.DISABLED)]
)
def test_an_operator_overrules_what_the_circuit_says(action: CommandAction, forced: Phase) -> None:
    state = after(a_command(action), an_outcome(1, ok=True), *OPENED)

    assert phase(state, at(5)) is forced
    assert lets_through(state, at(5), "r") is (forced is Phase.DISABLED)


def test_reset_closes_the_circuit_and_takes_the_override_back() -> None:
    state = after(a_command(CommandAction.FORCE_OPEN), *OPENED, a_command(CommandAction.RESET, "c2"))

    assert phase(state, at(3)) is Phase.CLOSED


def test_a_repeated_command_changes_nothing() -> None:
    state = after(a_command(CommandAction.FORCE_OPEN), a_command(CommandAction.RESET, "c2"))

    assert rules.after(state, a_command(CommandAction.FORCE_OPEN), SETTINGS) == state


def test_the_memory_of_commands_is_bounded() -> None:
    state = after(*(a_command(CommandAction.DISABLE, f"c{n}") for n in range(300)))

    assert len(state.commands) == rules.COMMANDS_REMEMBERED


def test_commands_to_cells_are_not_for_us() -> None:
    assert rules.dependencies(a_command(CommandAction.RESET)) == ("m",)
    assert rules.dependencies(a_command(CommandAction.RESET, subject="literary/analysis")) == ()
    assert rules.dependencies(a_command(CommandAction.PROMOTE)) == ()


def test_an_unknown_circuit_is_closed() -> None:
    assert phase(None, NOON) is Phase.CLOSED
    assert lets_through(None, NOON, "r")


def test_a_refusal_is_an_outcome_that_opens_nothing() -> None:
    down = outcome("m", started=at(0), ended=at(1), request_id="r", error=ProviderUnavailable("x"))
    refused = outcome("m", started=at(0), ended=at(1), request_id="r", error=ProviderRefused("x"))

    assert (down.ok, down.error_code, down.latency_ms) == (False, "provider_unavailable", 1000.0)
    assert (refused.ok, refused.error_code) == (True, "provider_refused")
    assert milliseconds(at(1), at(0)) == 0.0


@dataclass
class Reference:
    """A breaker as the text books draw it: three states, moved by hand."""

    state: str = "closed"
    failures: int = 0
    first: float = 0.0
    until: float = 0.0

    def see(self, seconds: float, *, ok: bool) -> None:
        if self.state == "open" and seconds >= self.until:
            self.state = "half_open"
        if ok:
            self.state, self.failures = "closed", 0
            return
        if self.state == "half_open":
            self.state, self.until = "open", seconds + SETTINGS.recovery_s
        elif self.state == "closed":
            if self.failures == 0 or seconds - self.first > SETTINGS.window_s:
                self.failures, self.first = 0, seconds
            self.failures += 1
            if self.failures >= SETTINGS.failure_threshold:
                self.state, self.until = "open", seconds + SETTINGS.recovery_s

    def phase(self, seconds: float) -> str:
        return "half_open" if self.state == "open" and seconds >= self.until else self.state


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60))
def test_it_behaves_like_the_reference(history: list[tuple[int, bool]]) -> None:
    reference, state, now = Reference(), rules.unwatched("m"), 0

    for pause, ok in history:
        now += pause
        reference.see(now, ok=ok)
        state = rules.after(state, an_outcome(now, ok=ok), SETTINGS)
        assert [phase(state, at(now + s)) for s in (0, 29, 30)] == [reference.phase(now + s) for s in (0, 29, 30)]
