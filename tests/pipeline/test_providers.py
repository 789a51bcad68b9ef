"""Every fault of a provider's server, seen from the outside: one terminal result, in time, and no key in any record."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from schemas.records import Status, TokenEventType
from streams.clients.models.extractive import Extractive
from tests.clock import FixedClock
from tests.loopback.cases import CANARIES, Case, opened
from tests.loopback.faults import FOR_GOOD, TRANSIENT, Fault
from tests.pipeline.world import FRANKENSTEIN, SETTINGS, Deploy, a_question, outside
from topology.memory import MemoryPipeline

CODES = {
    Fault.TOO_LONG: "context_overflow",
    Fault.TOO_LARGE: "context_overflow",
    Fault.POLICY: "content_refused",
    Fault.REFUSES: "content_refused",
    **dict.fromkeys(TRANSIENT, "provider_unavailable"),
}


WAITING = (Fault.SILENCE, Fault.SLOW_START, Fault.STALL, Fault.TRICKLE)


@pytest.fixture
async def openai() -> AsyncIterator[Case]:
    async with opened("openai") as case:
        yield case


@pytest.mark.parametrize("fault", [*TRANSIENT, *FOR_GOOD])
async def test_the_next_model_answers_for_a_provider_that_fails(
    openai: Case, fault: Fault, deploy: Deploy, clock: FixedClock
) -> None:
    openai.server.fail_next(fault)

    async with (
        openai.model(**{"first_token_s": 0.5, "stall_s": 0.5} if fault in WAITING else {}) as model,
        deploy(outside(model, Extractive(), clock=clock)) as pipeline,
    ):
        await pipeline.put(pipeline.topics.knowledge, FRANKENSTEIN)
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        (result,) = pipeline.records(pipeline.topics.results)
        (answer,) = pipeline.records(pipeline.topics.answers)
        failed, answered = pipeline.records(pipeline.topics.outcomes)[-2:]
        everything = b"".join(record.value or b"" for topic in pipeline.topics for record in pipeline.stored(topic))
        assert pipeline.dead_letters == []

    code = CODES.get(fault, "provider_refused")
    assert result.status is Status.DEGRADED
    assert answer.decision.model == "extractive"
    assert answer.decision.rejected == {"gpt-6-luna": code}
    assert (failed.dependency, failed.error_code, failed.ok) == ("gpt-6-luna", code, code != "provider_unavailable")
    assert (answered.dependency, answered.ok) == ("extractive", True)
    assert CANARIES[0].encode() not in everything


async def test_usage_and_cost_reach_answer_and_result(openai: Case, deploy: Deploy, clock: FixedClock) -> None:
    async with openai.model() as model, deploy(outside(model, clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.knowledge, FRANKENSTEIN)
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        (answer,) = pipeline.records(pipeline.topics.answers)
        (result,) = pipeline.records(pipeline.topics.results)

    assert answer.decision.provider == "openai"
    assert answer.input_tokens > 0
    assert answer.cost_usd == pytest.approx(answer.input_tokens * 0.1e-6 + answer.output_tokens * 0.5e-6)
    assert (result.input_tokens, result.output_tokens) == (answer.input_tokens, answer.output_tokens)
    assert result.cost_usd == answer.cost_usd


MID_STREAM = (Fault.RESET, Fault.TRUNCATED, Fault.STALL, Fault.ERROR_IN_STREAM, Fault.MALFORMED, Fault.REFUSES)


@pytest.mark.parametrize("fault", MID_STREAM)
async def test_what_a_broken_stream_has_written_is_replaced_and_the_end_comes_once(
    openai: Case, fault: Fault, deploy: Deploy, clock: FixedClock
) -> None:
    openai.server.fail_next(fault)

    async with openai.model(stall_s=0.3) as model, deploy(outside(model, Extractive(), clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.knowledge, FRANKENSTEIN)
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()
        (result,) = pipeline.records(pipeline.topics.results)
        events = pipeline.records(pipeline.topics.tokens)

    ends = {TokenEventType.STREAM_COMPLETE, TokenEventType.ERROR}
    assert (
        [event.type for event in events if event.type in ends] == [events[-1].type] == [TokenEventType.STREAM_COMPLETE]
    )
    assert [event.epoch for event in events] == sorted(event.epoch for event in events), "epochs are never mixed"
    written = {epoch: "".join(e.content for e in events if e.epoch == epoch) for epoch in (0, 1)}
    assert written[0] != ""
    assert written[1] == result.text


async def test_a_silent_provider_is_outrun_by_the_next_and_both_are_accounted_for(
    openai: Case, deploy: Deploy, clock: FixedClock
) -> None:
    """Two real protocols race; the connection of the loser is closed, and what it had read is paid for on `outcomes`."""
    hedging = replace(SETTINGS, route=replace(SETTINGS.route, hedge_latest_s=0.05))
    async with opened("anthropic") as anthropic, openai.model() as silent, anthropic.model() as quick:
        openai.server.fail_next(Fault.SLOW_START)
        async with MemoryPipeline(hedging, outside(silent, quick, clock=clock), clock=clock) as pipeline:
            await pipeline.put(pipeline.topics.texts, a_question(1))
            await pipeline.settle()
            (result,) = pipeline.records(pipeline.topics.results)
            outcomes = {one.dependency: one for one in pipeline.records(pipeline.topics.outcomes)}
            events = pipeline.records(pipeline.topics.tokens)
        async with asyncio.timeout(5):
            await openai.server.hung_up.acquire()

    assert result.decision is not None
    assert (result.decision.model, result.decision.rejected) == ("claude-haiku-4-5", {"gpt-6-luna": "hedge_lost"})
    assert "model_fallback" not in result.degradations
    lost = outcomes["gpt-6-luna"]
    assert (lost.ok, lost.error_code) == (True, "hedge_lost")
    assert lost.cost_usd == pytest.approx(lost.input_tokens * 0.1e-6)
    assert lost.input_tokens > 0
    assert {event.epoch for event in events if event.content} == {1}
