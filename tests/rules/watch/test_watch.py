"""How outcomes and commands move a circuit breaker."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce

import pytest

from agents.watch import rules
from schemas.records import CircuitState, Command, CommandAction, Outcome, Phase
from streams.circuit import milliseconds, outcome, phase, unwell
from streams.errors import ProviderRefused, ProviderUnavailable
from streams.orders import ORDERS_REMEMBERED
from streams.pace import p95_ms
from streams.settings import WatchSettings
from tests.given import NOON

SETTINGS = WatchSettings(failure_threshold=3, window_s=60.0, recovery_s=30.0)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def an_outcome(seconds: float, *, ok: bool = False, took_s: float = 0.001) -> Outcome:
    code = None if ok else "provider_unavailable"
    return Outcome(dependency="m", ok=ok, error_code=code, latency_ms=took_s * 1000, at=at(seconds))


def a_refusal(seconds: float) -> Outcome:
    return replace(an_outcome(seconds, ok=True), error_code="provider_refused")


def a_command(action: CommandAction, command_id: str = "c1", subject: str = "m") -> Command:
    return Command(command_id=command_id, subject=subject, action=action, issued_by="ops", reason="test", at=NOON)


def after(*seen: Outcome | Command, settings: WatchSettings = SETTINGS) -> CircuitState:
    return reduce(lambda state, one: rules.after(state, one, settings), seen, rules.unwatched("m"))


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
    assert (state.phase, state.since, state.reason) == (forced, NOON, f"{action} by ops: test")
    assert (state.failures, state.opened, state.calls) == (0, 0, "")


def test_reset_closes_the_circuit_and_takes_the_override_back() -> None:
    state = after(a_command(CommandAction.FORCE_OPEN), *OPENED, a_command(CommandAction.RESET, "c2"))

    assert phase(state, at(3)) is Phase.CLOSED


def test_a_repeated_command_changes_nothing() -> None:
    state = after(a_command(CommandAction.FORCE_OPEN), a_command(CommandAction.RESET, "c2"))

    assert rules.after(state, a_command(CommandAction.FORCE_OPEN), SETTINGS) == state


def test_the_memory_of_commands_is_bounded() -> None:
    state = after(*(a_command(CommandAction.DISABLE, f"c{n}") for n in range(300)))

    assert len(state.commands) == ORDERS_REMEMBERED


def test_commands_to_cells_are_not_for_us() -> None:
    assert rules.dependencies(a_command(CommandAction.RESET)) == ("m",)
    assert rules.dependencies(a_command(CommandAction.RESET, subject="literary/analysis")) == ()
    assert rules.dependencies(a_command(CommandAction.PROMOTE)) == ()


def test_an_unknown_circuit_is_closed() -> None:
    assert phase(None, NOON) is Phase.CLOSED


def test_a_refusal_is_an_outcome_that_opens_nothing() -> None:
    down = outcome("m", started=at(0), ended=at(1), request_id="r", error=ProviderUnavailable("x"))
    refused = outcome("m", started=at(0), ended=at(1), request_id="r", error=ProviderRefused("x"))

    assert (down.ok, down.error_code, down.latency_ms) == (False, "provider_unavailable", 1000.0)
    assert (refused.ok, refused.error_code) == (True, "provider_refused")
    assert milliseconds(at(1), at(0)) == 0.0


def test_a_refusal_neither_fails_nor_heals() -> None:
    """What is wrong with one request says nothing about whom it was sent to, not even that it is well."""
    between = after(an_outcome(0), an_outcome(1), a_refusal(2))
    probing = after(*OPENED, a_refusal(40))

    assert (between.failures, between.calls) == (2, "ff")
    assert phase(after(an_outcome(0), an_outcome(1), a_refusal(2), an_outcome(3)), at(4)) is Phase.OPEN
    assert phase(probing, at(41)) is Phase.HALF_OPEN


def test_a_rate_of_failures_opens_what_is_never_down_for_long() -> None:
    settings = replace(SETTINGS, min_calls=10, window_calls=20, failure_rate=0.5)
    flapping = [an_outcome(n, ok=n % 2 == 0) for n in range(10)]

    assert phase(after(*flapping[:9], settings=settings), at(9)) is Phase.CLOSED
    state = after(*flapping, settings=settings)
    assert (phase(state, at(10)), state.reason) == (Phase.OPEN, "5 of 10 calls failed")


def test_a_rate_of_slow_calls_opens_too() -> None:
    settings = replace(SETTINGS, min_calls=5, slow_rate=0.8, slow_call_s=2.0)

    state = after(*[an_outcome(n, ok=True, took_s=3.0 if n else 0.1) for n in range(5)], settings=settings)

    assert (phase(state, at(5)), state.reason) == (Phase.OPEN, "4 of 5 calls were slow")
    assert (
        phase(after(*[an_outcome(n, ok=True, took_s=3.0) for n in range(4)], settings=settings), at(5)) is Phase.CLOSED
    )


def test_only_the_newest_calls_count() -> None:
    settings = replace(SETTINGS, min_calls=4, window_calls=4, failure_rate=0.75)
    long_ago = [an_outcome(0), an_outcome(1), *[an_outcome(n, ok=True) for n in range(2, 9)]]

    assert after(*long_ago, settings=settings).calls == "...."


def test_a_slow_probe_opens_it_again() -> None:
    settings = replace(SETTINGS, slow_call_s=2.0)

    state = after(*OPENED, an_outcome(40, ok=True, took_s=3.0), settings=settings)

    assert (phase(state, at(41)), state.reason) == (Phase.OPEN, "the probe was slow")


def test_what_began_before_the_outage_ended_is_no_probe() -> None:
    """A call that hung for a minute says nothing about how the dependency is now, whether it ended well or not."""
    opened = after(*OPENED)

    for late in (an_outcome(40, ok=True, took_s=30), an_outcome(40, took_s=30), an_outcome(10, ok=True)):
        state = after(*OPENED, late)
        assert (state.open_until, state.phase, state.opened) == (opened.open_until, Phase.OPEN, 1)


def test_a_transition_is_a_record_with_a_new_since() -> None:
    states = [
        after(*OPENED[:2]),
        after(*OPENED),
        after(*OPENED, an_outcome(33)),
        after(*OPENED, an_outcome(40, ok=True)),
    ]

    assert [(state.phase, state.since) for state in states] == [
        (Phase.CLOSED, None), (Phase.OPEN, at(2)), (Phase.OPEN, at(33)), (Phase.CLOSED, at(40)),
    ]  # fmt: skip
    assert [state.reason for state in states[1:]] == ["3 failures in a row", "the probe failed", "the probe did well"]


def test_an_outcome_that_comes_again_counts_once() -> None:
    once = replace(an_outcome(0), outcome_id="m/request-1/0")
    others = [replace(an_outcome(n), outcome_id=f"m/request-{n}/0") for n in (2, 3)]

    assert after(once, once, others[0], once).failures == 2
    assert phase(after(once, *others), at(4)) is Phase.OPEN


def test_calls_of_one_request_are_told_apart_by_their_start() -> None:
    calls = [
        outcome("m", started=at(n), ended=at(n), request_id="r", error=ProviderUnavailable("x")) for n in (0, 0, 1)
    ]

    assert [one.outcome_id for one in calls] == ["m/r/1795262400000", "m/r/1795262400000", "m/r/1795262401000"]
    assert outcome("m", started=at(0), ended=at(0), request_id=None).outcome_id is None


def test_who_is_unwell_is_spared() -> None:
    states = {
        "open": after(*OPENED),
        "closed": after(OPENED[0]),
        "forced": after(a_command(CommandAction.FORCE_OPEN)),
        "disabled": after(a_command(CommandAction.DISABLE)),
    }

    assert unwell(states) == {"open", "forced"}


def test_the_pace_of_the_newest_calls_is_remembered_that_of_calls_outrun_too() -> None:
    settings = replace(SETTINGS, window_calls=12)
    quick = [replace(an_outcome(n, ok=True), ttft_ms=100.0) for n in range(11)]
    outrun = replace(an_outcome(20, ok=True), error_code="hedge_lost", ttft_ms=5000.0)

    state = after(*quick, outrun, settings=settings)

    assert 5000.0 <= (p95_ms(state.paces) or 0.0) <= 6000.0
    assert (phase(state, at(21)), len(after(*quick, *quick, settings=settings).paces)) == (Phase.CLOSED, 12)
    assert after(an_outcome(0), an_outcome(1, ok=True), settings=settings).paces == "", "they never began to answer"


def test_a_pace_that_is_no_number_is_not_remembered() -> None:
    assert after(replace(an_outcome(0, ok=True), ttft_ms=float("nan"))).paces == ""
