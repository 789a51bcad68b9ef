"""Asking models: retry, fallback and hedge, and what a reader of the tokens sees of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from agents.route import rules
from agents.route.asking import Asking, HedgeBudget, Means
from agents.route.stream import TokenStream
from schemas.records import Answer, CircuitState, Outcome, Prompt, TokenEvent, TokenEventType
from streams.canary import gives_away
from streams.circuit import Gate, Passes
from streams.errors import (
    ContentRefused,
    ContextOverflow,
    DeadlineExceeded,
    NoProviderLeft,
    ProviderBusy,
    ProviderRefused,
    ProviderUnavailable,
)
from streams.ports import Model
from streams.settings import RouteSettings
from tests.clock import FixedClock
from tests.fakes.model import HANGS, STOP, FlappingModel, PausingModel, ScriptedModel, a_spec
from tests.given import NOON, a_prompt, an_origin

SETTINGS = RouteSettings(explore_share=0.0, flush_tokens=4, flush_ms=250.0, tries=1, hedge_share=0.0)

CANARY = a_prompt().canary


class Put:
    """One prompt put to some models, with everything that was sent meanwhile."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.events: list[TokenEvent] = []
        self.outcomes: list[Outcome] = []
        self.circuits: dict[str, CircuitState] = {}
        self.stalled = asyncio.Event()  # two buffers were sent

    async def answer(self, *models: Model, prompt: Prompt | None = None, settings: RouteSettings = SETTINGS) -> Answer:
        prompt = prompt or a_prompt()
        plan = rules.plan(prompt, [model.spec for model in models], None, Passes(refused={}), settings)
        means = Means(
            models={model.spec.name: model for model in models},
            circuits=self.circuits,
            gate=Gate(self.circuits, partitions=1),
            budget=HedgeBudget(settings.hedge_share),
            clock=self.clock,
            settings=settings,
        )
        with TokenStream(prompt, self.saw, self.clock, settings) as stream:
            said = await Asking(prompt, "key", plan, means, stream, self.outcomes.append).answer()
            return rules.answer(prompt, plan, said)

    def saw(self, event: TokenEvent) -> None:
        self.events.append(event)
        if self.kinds.count("token") == 2:
            self.stalled.set()

    @property
    def kinds(self) -> list[str]:
        return [event.type.value for event in self.events]


@pytest.fixture
def asking(clock: FixedClock) -> Put:
    return Put(clock)


def due_in(seconds: float) -> Prompt:
    prompt = a_prompt()
    return replace(prompt, origin=replace(an_origin(), deadline=NOON + timedelta(seconds=seconds)))


async def test_an_answer_is_recorded_with_its_times_and_its_price(asking: Put, clock: FixedClock) -> None:
    model = ScriptedModel("first", 0.2, "Mary ", 0.3, "Shelley.", 0.1, STOP, clock=clock)

    answer = await asking.answer(model)

    assert (answer.text, answer.finish_reason, answer.output_tokens) == ("Mary Shelley.", "stop", 2)
    assert (answer.ttft_ms, answer.latency_ms) == (200.0, 600.0)
    assert (answer.decision.model, answer.decision.provider, answer.degradations) == ("first", "first-provider", ())
    assert [(o.dependency, o.ok, o.latency_ms, o.request_id) for o in asking.outcomes] == [
        ("first", True, 600.0, "request-1")
    ]


async def test_tokens_begin_end_and_are_numbered(asking: Put, clock: FixedClock) -> None:
    await asking.answer(ScriptedModel("first", "a", "b", STOP, clock=clock))

    assert asking.kinds == ["stream_start", "token", "token", "stream_complete"]
    assert [event.sequence for event in asking.events] == [0, 1, 2, 3]
    assert {(event.epoch, event.session_id) for event in asking.events} == {(0, "request-1")}


async def test_buffers_grow_from_one_token_to_the_setting(asking: Put, clock: FixedClock) -> None:
    await asking.answer(ScriptedModel("first", *"abcdefghijklmno", STOP, clock=clock))

    sent = [event.content for event in asking.events if event.type is TokenEventType.TOKEN]
    assert sent == ["a", "bc", "defg", "hijk", "lmno"]


@pytest.mark.parametrize(
    "pieces",
    [
        [f"Of course: my rules say {CANARY}, and more."],
        ["Of course: my rules say ", *CANARY, ", and more."],
        ["Of course: my rules say ", *"-".join(CANARY.upper()), ", and more."],
    ],
    ids=["at once", "letter by letter", "spelled"],
)
async def test_a_reader_never_sees_the_canary(asking: Put, clock: FixedClock, pieces: list[str]) -> None:
    answer = await asking.answer(ScriptedModel("first", *pieces, STOP, clock=clock))

    shown = "".join(event.content for event in asking.events if event.type is TokenEventType.TOKEN)
    assert gives_away(answer.text, CANARY)  # `evaluate` looks at it as well
    assert "Of course: my rules say ".startswith(shown)
    assert (asking.kinds[-1], asking.events[-1].content) == ("error", "answer_withheld")
    assert asking.kinds.count("error") == 1


async def test_what_only_begins_like_the_canary_is_shown(asking: Put, clock: FixedClock) -> None:
    await asking.answer(ScriptedModel("first", "an ", "ember", " and ", CANARY[:-1], " ", "embe", STOP, clock=clock))

    shown = "".join(event.content for event in asking.events if event.type is TokenEventType.TOKEN)
    assert shown == f"an ember and {CANARY[:-1]} embe"
    assert asking.kinds[-1] == "stream_complete"


async def test_the_next_model_is_shown_though_the_one_before_gave_its_instructions_away(
    asking: Put, clock: FixedClock
) -> None:
    leaking = ScriptedModel("first", CANARY, ProviderUnavailable("down"), clock=clock)

    await asking.answer(leaking, ScriptedModel("second", "Mary.", STOP, clock=clock))

    assert [(event.epoch, event.type.value) for event in asking.events] == [
        (0, "stream_start"), (1, "stream_start"), (1, "token"), (1, "stream_complete"),
    ]  # fmt: skip


async def test_a_slow_model_is_sent_token_by_token(asking: Put, clock: FixedClock) -> None:
    await asking.answer(ScriptedModel("first", "a", 0.3, "b", 0.3, "c", 0.3, "d", STOP, clock=clock))

    assert [event.content for event in asking.events if event.type is TokenEventType.TOKEN] == list("abcd")


async def test_what_a_stalled_model_has_written_is_sent_all_the_same(asking: Put, clock: FixedClock) -> None:
    asked = asyncio.ensure_future(asking.answer(ScriptedModel("first", "a", "b", HANGS, clock=clock)))

    async with asyncio.timeout(5):
        await asking.stalled.wait()

    assert asking.kinds == ["stream_start", "token", "token"]
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert asking.kinds[-1] == "error"


@pytest.mark.parametrize("error", [ProviderUnavailable("down"), ProviderRefused("wrong key")])
async def test_when_a_model_fails_the_next_one_answers_in_a_new_epoch(
    asking: Put, clock: FixedClock, error: ProviderUnavailable | ProviderRefused
) -> None:
    broken = ScriptedModel("first", "Mar", error, clock=clock)

    answer = await asking.answer(broken, ScriptedModel("second", "Mary.", STOP, clock=clock))

    assert (answer.text, answer.decision.model) == ("Mary.", "second")
    assert (answer.degradations, answer.decision.rejected) == (("model_fallback",), {"first": error.code})
    assert [(event.epoch, event.type.value) for event in asking.events] == [
        (0, "stream_start"), (0, "token"), (1, "stream_start"), (1, "token"), (1, "stream_complete"),
    ]  # fmt: skip


async def test_a_model_that_has_no_turn_is_passed_by_and_not_blamed(asking: Put, clock: FixedClock) -> None:
    busy = ScriptedModel("first", ProviderBusy("64 calls under way"), clock=clock)
    other = ScriptedModel("second", "Mary.", STOP, clock=clock)

    answer = await asking.answer(busy, other, settings=replace(SETTINGS, tries=3))

    assert (answer.decision.model, answer.decision.rejected) == ("second", {"first": "provider_busy"})
    assert [outcome.dependency for outcome in asking.outcomes] == ["second"]
    assert [ask.queue_s for ask in busy.asked] == [SETTINGS.queue_s], "asked once"
    (last,) = other.asked
    assert (last.queue_s or 0.0) > 1.0, "who is asked last is waited for"


async def test_only_a_transient_failure_counts_against_the_circuit(asking: Put, clock: FixedClock) -> None:
    down = ScriptedModel("first", ProviderUnavailable("down"), clock=clock)
    strict = ScriptedModel("second", ProviderRefused("content policy"), clock=clock)

    await asking.answer(down, strict, ScriptedModel("third", "Yes.", STOP, clock=clock))

    assert [(o.dependency, o.ok, o.error_code) for o in asking.outcomes] == [
        ("first", False, "provider_unavailable"), ("second", True, "provider_refused"), ("third", True, None),
    ]  # fmt: skip


async def test_when_nobody_is_left_the_stream_ends_with_an_error_and_every_call_is_reported(
    asking: Put, clock: FixedClock
) -> None:
    with pytest.raises(NoProviderLeft) as refused:
        await asking.answer(ScriptedModel("first", ProviderUnavailable("down"), clock=clock))

    assert refused.value.context == {"first": "provider_unavailable"}
    assert len(asking.outcomes) == 1
    assert (asking.kinds, asking.events[-1].content) == (["stream_start", "error"], "no_provider_left")


async def test_an_empty_catalogue_ends_the_stream_with_an_error(asking: Put) -> None:
    with pytest.raises(NoProviderLeft):
        await asking.answer()

    assert asking.kinds == ["error"]


@pytest.mark.parametrize("script", [("Half an ans",), (), ("  ", STOP), (STOP,)])
async def test_an_answer_without_text_or_without_end_is_a_failure(
    asking: Put, clock: FixedClock, script: tuple[str, ...]
) -> None:
    answer = await asking.answer(
        ScriptedModel("first", *script, clock=clock), ScriptedModel("second", "Whole.", STOP, clock=clock)
    )

    assert answer.text == "Whole."


async def test_what_comes_after_the_end_is_no_part_of_the_answer(asking: Put, clock: FixedClock) -> None:
    answer = await asking.answer(ScriptedModel("first", "Whole.", STOP, " More.", clock=clock))

    assert answer.text == "Whole."


async def test_a_hanging_model_is_given_up_while_there_is_time_for_the_next(asking: Put, clock: FixedClock) -> None:
    hanging = ScriptedModel("first", HANGS, clock=clock)

    answer = await asking.answer(hanging, ScriptedModel("second", "Yes.", STOP, clock=clock), prompt=due_in(0.2))

    assert hanging.cancelled
    assert (answer.text, asking.outcomes[0].error_code) == ("Yes.", "provider_unavailable")


async def test_past_the_deadline_nobody_is_asked(asking: Put, clock: FixedClock) -> None:
    slow = ScriptedModel("first", 7.0, ProviderUnavailable("down"), clock=clock)
    second = ScriptedModel("second", "Too late.", STOP, clock=clock)

    with pytest.raises(DeadlineExceeded):
        await asking.answer(slow, second, prompt=due_in(6.0))

    assert second.asked == []
    assert asking.events[-1].content == "deadline_exceeded"


async def test_a_bug_in_a_client_is_not_hidden_by_the_next_model(asking: Put, clock: FixedClock) -> None:
    broken = ScriptedModel("first", KeyError("choices"), clock=clock)

    with pytest.raises(KeyError):
        await asking.answer(broken, ScriptedModel("second", "Yes.", STOP, clock=clock))

    assert (asking.kinds[-1], asking.events[-1].content) == ("error", "interrupted")


TWICE = replace(SETTINGS, tries=2, retry_pause_s=0.001)


async def test_a_transient_failure_is_tried_again_in_a_new_epoch(asking: Put, clock: FixedClock) -> None:
    flapping = FlappingModel("first", "Mar", ProviderUnavailable("reset"), then=("Mary.", STOP), clock=clock)

    answer = await asking.answer(flapping, ScriptedModel("second", "No.", STOP, clock=clock), settings=TWICE)

    assert (answer.text, answer.decision.model, answer.degradations) == ("Mary.", "first", ())
    assert [(event.epoch, event.content) for event in asking.events if event.content] == [(0, "Mar"), (1, "Mary.")]
    assert [(o.dependency, o.ok) for o in asking.outcomes] == [("first", False), ("first", True)]


async def test_a_refusal_is_not_tried_again(asking: Put, clock: FixedClock) -> None:
    strict = ScriptedModel("first", ProviderRefused("wrong key"), clock=clock)

    answer = await asking.answer(strict, ScriptedModel("second", "Yes.", STOP, clock=clock), settings=TWICE)

    assert (len(strict.asked), answer.text) == (1, "Yes.")


async def test_a_model_is_not_asked_before_the_provider_wishes(asking: Put, clock: FixedClock) -> None:
    """A long wish is kept by asking the next model at once."""
    busy = ScriptedModel("first", ProviderUnavailable("429", retry_after_s=5.0), clock=clock)

    answer = await asking.answer(busy, ScriptedModel("second", "Yes.", STOP, clock=clock), settings=TWICE)

    assert (len(busy.asked), answer.text) == (1, "Yes.")


async def test_the_last_model_is_waited_for_as_long_as_it_wishes(asking: Put, clock: FixedClock) -> None:
    busy = FlappingModel("first", ProviderUnavailable("429", retry_after_s=0.05), then=("Yes.", STOP), clock=clock)
    began = asyncio.get_running_loop().time()

    answer = await asking.answer(busy, settings=replace(TWICE, retry_wait_s=0.0))

    assert answer.text == "Yes."
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_a_circuit_that_opened_meanwhile_is_not_tried_again(asking: Put, clock: FixedClock) -> None:
    """The three scopes: the retry and the fallback both ask the circuit."""
    opened = CircuitState(dependency="first", open_until=NOON + timedelta(seconds=60), as_of=NOON, counted={})
    down = FlappingModel("first", ProviderUnavailable("reset"), then=("Late.", STOP), clock=clock)
    down.on_asked = lambda: asking.circuits.update(first=opened, second=replace(opened, dependency="second"))
    spared = ScriptedModel("second", "No.", STOP, clock=clock)

    answer = await asking.answer(down, spared, ScriptedModel("third", "Yes.", STOP, clock=clock), settings=TWICE)

    assert (len(down.asked), len(spared.asked), answer.text) == (1, 0, "Yes.")
    assert answer.decision.rejected == {"first": "provider_unavailable", "second": "circuit_open"}


async def test_a_prompt_too_long_for_a_model_goes_to_a_larger_one_only(asking: Put, clock: FixedClock) -> None:
    small = ScriptedModel("small", ContextOverflow("too long"), clock=clock, spec=a_spec("small", context_tokens=4000))
    same = ScriptedModel("same", "No.", STOP, clock=clock, spec=a_spec("same", context_tokens=4000))
    large = ScriptedModel("large", "Yes.", STOP, clock=clock, spec=a_spec("large", context_tokens=9000))

    answer = await asking.answer(small, same, large, settings=TWICE)

    assert (answer.text, len(small.asked), len(same.asked)) == ("Yes.", 1, 0)
    assert [o.ok for o in asking.outcomes] == [True, True]


async def test_long_prompts_and_refusals_have_chains_of_their_own(asking: Put, clock: FixedClock) -> None:
    settings = replace(SETTINGS, overflow_models="huge,large", refusal_models="lenient")
    huge = ScriptedModel("huge", ContentRefused("policy"), clock=clock, spec=a_spec("huge", context_tokens=9999))
    large = ScriptedModel("large", "No.", STOP, clock=clock, spec=a_spec("large", context_tokens=9000))
    lenient = ScriptedModel("lenient", "Yes.", STOP, clock=clock)
    for model in (huge, large, lenient):
        model.spec = replace(model.spec, reserve=True)

    answer = await asking.answer(
        ScriptedModel("first", ContextOverflow("too long"), clock=clock), large, lenient, huge, settings=settings
    )

    assert [o.dependency for o in asking.outcomes] == ["first", "huge", "lenient"]
    assert answer.text == "Yes."


async def test_a_refusal_can_be_made_final(asking: Put, clock: FixedClock) -> None:
    second = ScriptedModel("second", "Yes.", STOP, clock=clock)

    with pytest.raises(NoProviderLeft):
        await asking.answer(
            ScriptedModel("first", ContentRefused("policy"), clock=clock),
            second,
            settings=replace(SETTINGS, refusal_models="none"),
        )

    assert second.asked == []


HEDGING = replace(SETTINGS, hedge_share=0.05, hedge_latest_s=0.01)


async def test_a_silent_model_is_outrun_by_the_next_provider(asking: Put, clock: FixedClock) -> None:
    silent = ScriptedModel("first", HANGS, clock=clock, spec=a_spec("first", usd=2.0))

    answer = await asking.answer(silent, ScriptedModel("second", "Yes.", STOP, clock=clock), settings=HEDGING)

    assert silent.cancelled
    assert (answer.text, answer.decision.model, answer.degradations) == ("Yes.", "second", ())
    assert (answer.decision.reasons[-1], answer.decision.rejected) == ("hedge", {"first": "hedge_lost"})
    lost, won = asking.outcomes
    assert (lost.dependency, lost.ok, lost.error_code) == ("first", True, "hedge_lost")
    assert lost.input_tokens == 50
    assert lost.cost_usd == pytest.approx(100e-6)
    assert (won.dependency, won.output_tokens) == ("second", 2)


async def test_a_hedge_speaks_in_an_epoch_of_its_own_and_the_end_comes_once(asking: Put, clock: FixedClock) -> None:
    await asking.answer(
        ScriptedModel("first", HANGS, clock=clock),
        ScriptedModel("second", "Y", "es.", STOP, clock=clock),
        settings=HEDGING,
    )

    assert [(event.epoch, event.type.value, event.content) for event in asking.events] == [
        (0, "stream_start", ""), (1, "stream_start", ""), (1, "token", "Y"), (1, "token", "es."), (1, "stream_complete", ""),
    ]  # fmt: skip


async def test_who_has_begun_to_write_is_not_hedged(asking: Put, clock: FixedClock) -> None:
    other = ScriptedModel("second", "No.", STOP, clock=clock)
    writing = PausingModel("first", "Ye", "s.", STOP, clock=clock)
    asked = asyncio.ensure_future(asking.answer(writing, other, settings=replace(HEDGING, hedge_latest_s=0.0)))
    await asyncio.wait_for(writing.paused.wait(), 5)
    for _ in range(20):
        await asyncio.sleep(0)
    writing.go_on.set()

    assert (await asked).text == "Yes."
    assert other.asked == []


async def test_a_model_that_speaks_after_its_hedge_was_asked_is_heard_and_the_hedge_cancelled(
    asking: Put, clock: FixedClock
) -> None:
    hedge = ScriptedModel("second", HANGS, clock=clock)
    late = PausingModel("first", 0.0, "Yes.", STOP, clock=clock)
    asked = asyncio.ensure_future(asking.answer(late, hedge, settings=HEDGING))
    await asyncio.wait_for(hedge.arrived.wait(), 5)
    late.go_on.set()

    answer = await asked

    assert (answer.text, answer.decision.reasons, hedge.cancelled) == ("Yes.", ("first_in_settings",), True)
    assert {event.epoch for event in asking.events} == {0}


async def test_when_both_fail_the_one_that_was_only_outrun_is_asked_again(asking: Put, clock: FixedClock) -> None:
    slow = FlappingModel("first", HANGS, then=("Yes.", STOP), clock=clock)
    breaks = ScriptedModel("second", "N", ProviderUnavailable("reset"), clock=clock)

    answer = await asking.answer(slow, breaks, settings=HEDGING)

    assert (answer.text, answer.decision.model) == ("Yes.", "first")
    assert [(o.dependency, o.error_code) for o in asking.outcomes] == [
        ("first", "hedge_lost"), ("second", "provider_unavailable"), ("first", None),
    ]  # fmt: skip
    assert [event.type.value for event in asking.events].count("stream_complete") == 1
    last = max(event.epoch for event in asking.events)
    assert "".join(event.content for event in asking.events if event.epoch == last) == "Yes."


async def test_a_model_of_this_machine_and_a_lesser_one_are_no_part_of_a_race(asking: Put, clock: FixedClock) -> None:
    local = ScriptedModel("first", HANGS, clock=clock, spec=replace(a_spec("first"), tier="local"))
    lesser = ScriptedModel("second", "No.", STOP, clock=clock, spec=replace(a_spec("second"), tier="local"))
    for first in (local, ScriptedModel("first", HANGS, clock=clock)):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asking.answer(first, lesser, settings=HEDGING)

    assert lesser.asked == []


async def test_a_bug_in_a_model_that_is_hedged_is_not_hidden(asking: Put, clock: FixedClock) -> None:
    hedge = ScriptedModel("second", HANGS, clock=clock)
    with pytest.raises(KeyError):
        await asking.answer(ScriptedModel("first", KeyError("choices"), clock=clock), hedge, settings=HEDGING)


async def test_giving_up_a_race_stops_both(asking: Put, clock: FixedClock) -> None:
    first, second = (ScriptedModel(name, HANGS, clock=clock) for name in ("first", "second"))
    asked = asyncio.ensure_future(asking.answer(first, second, settings=HEDGING))
    await asyncio.wait_for(second.arrived.wait(), 5)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked

    assert (first.cancelled, second.cancelled) == (True, True)


def test_hedges_are_a_share_of_the_requests() -> None:
    budget = HedgeBudget(0.05)
    hedged = 0
    for _ in range(1000):
        budget.earn()
        if budget.allows:
            budget.spend()
            hedged += 1

    assert hedged == 51
    for _ in range(10_000):
        budget.earn()
    saved = 0
    while budget.allows:
        budget.spend()
        saved += 1
    assert saved == 10
    assert not HedgeBudget(0.0).allows
