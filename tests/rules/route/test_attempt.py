"""Asking models one after the other, and what a reader of the tokens sees of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from agents.route import rules
from agents.route.attempt import answered
from agents.route.stream import TokenStream
from schemas.records import Answer, Outcome, Prompt, TokenEvent, TokenEventType
from streams.circuit import Passes
from streams.errors import DeadlineExceeded, NoProviderLeft, ProviderRefused, ProviderUnavailable
from streams.ports import Model
from streams.settings import RouteSettings
from tests.clock import FixedClock
from tests.fakes.model import HANGS, STOP, ScriptedModel
from tests.given import NOON, a_prompt, an_origin

SETTINGS = RouteSettings(explore_share=0.0, flush_tokens=4, flush_ms=250.0)


class Asking:
    """One prompt put to some models, with everything that was sent meanwhile."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.events: list[TokenEvent] = []
        self.outcomes: list[Outcome] = []
        self.stalled = asyncio.Event()  # two buffers were sent

    async def answer(self, *models: Model, prompt: Prompt | None = None) -> Answer:
        prompt = prompt or a_prompt()
        plan = rules.plan(prompt, [model.spec for model in models], None, Passes(refused={}), SETTINGS)
        catalogue = {model.spec.name: model for model in models}
        with TokenStream(prompt.origin, self.saw, self.clock, SETTINGS) as stream:
            said = await answered(prompt, plan, catalogue, stream, self.outcomes.append, self.clock)
            return rules.answer(prompt, plan, said)

    def saw(self, event: TokenEvent) -> None:
        self.events.append(event)
        if self.kinds.count("token") == 2:
            self.stalled.set()

    @property
    def kinds(self) -> list[str]:
        return [event.type.value for event in self.events]


@pytest.fixture
def asking(clock: FixedClock) -> Asking:
    return Asking(clock)


def due_in(seconds: float) -> Prompt:
    prompt = a_prompt()
    return replace(prompt, origin=replace(an_origin(), deadline=NOON + timedelta(seconds=seconds)))


async def test_an_answer_is_recorded_with_its_times_and_its_price(asking: Asking, clock: FixedClock) -> None:
    model = ScriptedModel("first", 0.2, "Mary ", 0.3, "Shelley.", 0.1, STOP, clock=clock)

    answer = await asking.answer(model)

    assert (answer.text, answer.finish_reason, answer.output_tokens) == ("Mary Shelley.", "stop", 2)
    assert (answer.ttft_ms, answer.latency_ms) == (200.0, 600.0)
    assert (answer.decision.model, answer.decision.provider, answer.degradations) == ("first", "first-provider", ())
    assert [(o.dependency, o.ok, o.latency_ms, o.request_id) for o in asking.outcomes] == [
        ("first", True, 600.0, "request-1")
    ]


async def test_tokens_begin_end_and_are_numbered(asking: Asking, clock: FixedClock) -> None:
    await asking.answer(ScriptedModel("first", "a", "b", STOP, clock=clock))

    assert asking.kinds == ["stream_start", "token", "token", "stream_complete"]
    assert [event.sequence for event in asking.events] == [0, 1, 2, 3]
    assert {(event.epoch, event.session_id) for event in asking.events} == {(0, "request-1")}


async def test_buffers_grow_from_one_token_to_the_setting(asking: Asking, clock: FixedClock) -> None:
    await asking.answer(ScriptedModel("first", *"abcdefghijklmno", STOP, clock=clock))

    sent = [event.content for event in asking.events if event.type is TokenEventType.TOKEN]
    assert sent == ["a", "bc", "defg", "hijk", "lmno"]


async def test_a_slow_model_is_sent_token_by_token(asking: Asking, clock: FixedClock) -> None:
    await asking.answer(ScriptedModel("first", "a", 0.3, "b", 0.3, "c", 0.3, "d", STOP, clock=clock))

    assert [event.content for event in asking.events if event.type is TokenEventType.TOKEN] == list("abcd")


async def test_what_a_stalled_model_has_written_is_sent_all_the_same(asking: Asking, clock: FixedClock) -> None:
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
    asking: Asking, clock: FixedClock, error: ProviderUnavailable | ProviderRefused
) -> None:
    broken = ScriptedModel("first", "Mar", error, clock=clock)

    answer = await asking.answer(broken, ScriptedModel("second", "Mary.", STOP, clock=clock))

    assert (answer.text, answer.decision.model) == ("Mary.", "second")
    assert (answer.degradations, answer.decision.rejected) == (("model_fallback",), {"first": error.code})
    assert [(event.epoch, event.type.value) for event in asking.events] == [
        (0, "stream_start"), (0, "token"), (1, "stream_start"), (1, "token"), (1, "stream_complete"),
    ]  # fmt: skip


async def test_only_a_transient_failure_counts_against_the_circuit(asking: Asking, clock: FixedClock) -> None:
    down = ScriptedModel("first", ProviderUnavailable("down"), clock=clock)
    strict = ScriptedModel("second", ProviderRefused("content policy"), clock=clock)

    await asking.answer(down, strict, ScriptedModel("third", "Yes.", STOP, clock=clock))

    assert [(o.dependency, o.ok, o.error_code) for o in asking.outcomes] == [
        ("first", False, "provider_unavailable"), ("second", True, "provider_refused"), ("third", True, None),
    ]  # fmt: skip


async def test_when_nobody_is_left_the_stream_ends_with_an_error_and_every_call_is_reported(
    asking: Asking, clock: FixedClock
) -> None:
    with pytest.raises(NoProviderLeft) as refused:
        await asking.answer(ScriptedModel("first", ProviderUnavailable("down"), clock=clock))

    assert refused.value.context == {"first": "provider_unavailable"}
    assert len(asking.outcomes) == 1
    assert (asking.kinds, asking.events[-1].content) == (["stream_start", "error"], "no_provider_left")


async def test_an_empty_catalogue_ends_the_stream_with_an_error(asking: Asking) -> None:
    with pytest.raises(NoProviderLeft):
        await asking.answer()

    assert asking.kinds == ["error"]


@pytest.mark.parametrize("script", [("Half an ans",), (), ("  ", STOP), (STOP,)])
async def test_an_answer_without_text_or_without_end_is_a_failure(
    asking: Asking, clock: FixedClock, script: tuple[str, ...]
) -> None:
    answer = await asking.answer(
        ScriptedModel("first", *script, clock=clock), ScriptedModel("second", "Whole.", STOP, clock=clock)
    )

    assert answer.text == "Whole."


async def test_what_comes_after_the_end_is_no_part_of_the_answer(asking: Asking, clock: FixedClock) -> None:
    answer = await asking.answer(ScriptedModel("first", "Whole.", STOP, " More.", clock=clock))

    assert answer.text == "Whole."


async def test_a_hanging_model_is_given_up_while_there_is_time_for_the_next(asking: Asking, clock: FixedClock) -> None:
    hanging = ScriptedModel("first", HANGS, clock=clock)

    answer = await asking.answer(hanging, ScriptedModel("second", "Yes.", STOP, clock=clock), prompt=due_in(0.2))

    assert hanging.cancelled
    assert (answer.text, asking.outcomes[0].error_code) == ("Yes.", "provider_unavailable")


async def test_past_the_deadline_nobody_is_asked(asking: Asking, clock: FixedClock) -> None:
    slow = ScriptedModel("first", 7.0, ProviderUnavailable("down"), clock=clock)
    second = ScriptedModel("second", "Too late.", STOP, clock=clock)

    with pytest.raises(DeadlineExceeded):
        await asking.answer(slow, second, prompt=due_in(6.0))

    assert second.asked == []
    assert asking.events[-1].content == "deadline_exceeded"


async def test_a_bug_in_a_client_is_not_hidden_by_the_next_model(asking: Asking, clock: FixedClock) -> None:
    broken = ScriptedModel("first", KeyError("choices"), clock=clock)

    with pytest.raises(KeyError):
        await asking.answer(broken, ScriptedModel("second", "Yes.", STOP, clock=clock))

    assert (asking.kinds[-1], asking.events[-1].content) == ("error", "interrupted")
