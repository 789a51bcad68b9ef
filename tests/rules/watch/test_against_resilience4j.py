"""The circuit beside a plain model of resilience4j's, moved by the same calls, pauses and orders."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agents.watch import rules
from schemas.records import Command, CommandAction, Outcome, Phase
from streams.circuit import Gate, phase
from streams.settings import WatchSettings
from tests.given import NOON

SETTINGS = WatchSettings(
    failure_threshold=4, window_s=20.0, window_calls=8, min_calls=6, failure_rate=0.5, slow_rate=0.8, slow_call_s=2.0,
    recovery_s=10.0, probe_s=5.0,
)  # fmt: skip
PARTITIONS = 3


@dataclass
class Resilience4j:
    """A count-based window, automatic transition to half open, one permitted call there; and consecutive failures besides.

    Source: resilience4j-circuitbreaker 2.x, CircuitBreakerStateMachine, CircuitBreakerMetrics, FixedSizeSlidingWindowMetrics.
    """

    state: Phase = Phase.CLOSED
    window: list[tuple[bool, bool]] = field(default_factory=list)  # (failed, slow)
    run: list[float] = field(default_factory=list)
    opened_at: float = 0.0

    def tick(self, now: float) -> None:
        """Go from open to half open by the time."""
        if self.state is Phase.OPEN and now - self.opened_at >= SETTINGS.recovery_s:
            self.state = Phase.HALF_OPEN

    def on_call(self, now: float, *, failed: bool, slow: bool, is_probe: bool) -> None:
        """Take in a call; `is_probe` when it was permitted in the present half-open period."""
        self.tick(now)
        if self.state is Phase.CLOSED:
            self.window = [*self.window, (failed, slow)][-SETTINGS.window_calls :]
            self.run = self._run(now) if failed else []
            if self._exceeds() or len(self.run) >= SETTINGS.failure_threshold:
                self.go(Phase.OPEN, now)
        elif self.state is Phase.HALF_OPEN and is_probe:
            self.go(Phase.OPEN if failed or slow else Phase.CLOSED, now)

    def go(self, state: Phase, now: float) -> None:
        """Enter a state, with metrics of its own."""
        self.state, self.window, self.run, self.opened_at = state, [], [], now

    def _run(self, now: float) -> list[float]:
        return [*self.run, now] if self.run and now - self.run[0] <= SETTINGS.window_s else [now]

    def _exceeds(self) -> bool:
        calls = len(self.window)
        if calls < SETTINGS.min_calls:
            return False
        failed, slow = (sum(one[kind] for one in self.window) / calls for kind in (0, 1))
        return failed >= SETTINGS.failure_rate or slow >= SETTINGS.slow_rate


class CircuitMachine(RuleBasedStateMachine):
    """Calls under way, ending in any order; several workers, each with a gate of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.ours = rules.unwatched("m")
        self.theirs = Resilience4j()
        self.under_way: list[tuple[float, Phase]] = []
        self.orders = 0
        self.calls = 0

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 7.0, 10.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: len(self.under_way) < 5)
    @rule()
    def a_call_begins(self) -> None:
        began = phase(self.ours, self._at())
        if began in {Phase.CLOSED, Phase.DISABLED, Phase.HALF_OPEN}:
            self.under_way.append((self.now, began))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 4), how=st.sampled_from(["well", "failed", "refused"]))
    def a_call_ends(self, which: int, how: str) -> None:
        started, began = self.under_way.pop(which % len(self.under_way))
        took_s = self.now - started
        self.calls += 1
        code = {"well": None, "failed": "provider_unavailable", "refused": "provider_refused"}[how]
        said = Outcome(
            dependency="m", ok=how != "failed", error_code=code, latency_ms=took_s * 1000, at=self._at(),
            outcome_id=str(self.calls),
        )  # fmt: skip
        self.ours = rules.after(self.ours, said, SETTINGS)
        if how != "refused":  # resilience4j's ignored exceptions
            slow, failed = took_s > SETTINGS.slow_call_s, how == "failed"
            is_probe = began is Phase.HALF_OPEN and started >= self.theirs.opened_at + SETTINGS.recovery_s
            self.theirs.on_call(self.now, failed=failed, slow=slow, is_probe=is_probe)

    @rule(action=st.sampled_from([CommandAction.FORCE_OPEN, CommandAction.DISABLE, CommandAction.RESET]))
    def an_operator_orders(self, action: CommandAction) -> None:
        self.orders += 1
        command = Command(
            command_id=str(self.orders), subject="m", action=action, issued_by="ops", reason="test", at=self._at()
        )
        self.ours = rules.after(self.ours, command, SETTINGS)
        state = {
            CommandAction.FORCE_OPEN: Phase.FORCED_OPEN,
            CommandAction.DISABLE: Phase.DISABLED,
            CommandAction.RESET: Phase.CLOSED,
        }
        self.theirs.go(state[action], self.now)

    @invariant()
    def both_say_the_same(self) -> None:
        self.theirs.tick(self.now)
        assert phase(self.ours, self._at()) is self.theirs.state

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        assert len(self.ours.calls) <= SETTINGS.window_calls

    @invariant()
    def at_most_one_of_all_partitions_may_probe(self) -> None:
        if phase(self.ours, self._at()) is Phase.HALF_OPEN:
            gate = Gate({"m": self.ours}, PARTITIONS)
            passes = [gate.look(("m",), self._at(), f"key-{number}") for number in range(40)]
            assert len({bool(one.probing) for one in passes}) == 2
            gate.take("m", self._at())
            assert not any(gate.look(("m",), self._at(), f"key-{number}").probing for number in range(40))

    def _at(self) -> datetime:
        return NOON + timedelta(seconds=self.now)


CircuitMachine.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=60, deadline=None)
TestCircuitMachine = CircuitMachine.TestCase
