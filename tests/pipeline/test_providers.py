"""Every fault of a provider's server, seen from the outside: one terminal result, in time, and no key in any record."""

from collections.abc import AsyncIterator

import pytest

from schemas.records import Status
from streams.clients.models.extractive import Extractive
from tests.clock import FixedClock
from tests.loopback.cases import CANARIES, Case, opened
from tests.loopback.faults import FOR_GOOD, TRANSIENT, Fault
from tests.pipeline.world import FRANKENSTEIN, Deploy, a_question, outside

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
