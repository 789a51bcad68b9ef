"""What every network provider does when its server misbehaves, and that no API key is ever shown."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from streams.clients.models.registry import OwnedModel, accounts
from streams.errors import (
    ContentRefused,
    ContextOverflow,
    PipelineError,
    ProviderBusy,
    ProviderRefused,
    ProviderUnavailable,
)
from streams.ports import Ask, Finish
from tests.loopback.cases import CANARIES, KEYED, NETWORK, Case, opened
from tests.loopback.faults import FOR_GOOD, HARMLESS, TRANSIENT, Fault

ASK = Ask(
    request_id="0190b6a2-0000-7000-8000-000000000001",
    system="Answer from the context only.",
    user="Question: How long is the Danube, and where does it rise?",
    query="How long is the Danube, and where does it rise?",
    chunks=(),
    max_tokens=64,
    temperature=0.0,
)
ANSWER = "How long is the Danube, and where does it rise?"
MID_STREAM = frozenset(
    {Fault.STALL, Fault.TRICKLE, Fault.RESET, Fault.TRUNCATED, Fault.ERROR_IN_STREAM, Fault.MALFORMED}
)
QUICK = {"first_token_s": 0.5, "stall_s": 0.5}
WAITING = frozenset({Fault.SILENCE, Fault.SLOW_START, Fault.STALL, Fault.TRICKLE})


@pytest.fixture(params=NETWORK)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with opened(request.param) as opening:
        yield opening


@pytest.fixture(params=KEYED)
async def keyed(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """A provider that is given two keys."""
    async with opened(request.param, keys=CANARIES) as opening:
        yield opening


async def heard(model: OwnedModel, ask: Ask = ASK) -> tuple[str, Finish | PipelineError]:
    """Return what the model said, and how it ended."""
    pieces: list[str] = []
    try:
        async for event in model.stream(ask):
            if isinstance(event, Finish):
                return "".join(pieces), event
            pieces.append(event.text)
    except PipelineError as error:
        return "".join(pieces), error
    raise AssertionError("neither a finish nor an error")


async def failed(model: OwnedModel, ask: Ask = ASK) -> PipelineError:
    _, end = await heard(model, ask)
    assert isinstance(end, PipelineError)
    return end


@pytest.mark.parametrize("fault", TRANSIENT)
async def test_what_may_pass_is_worth_another_try(case: Case, fault: Fault) -> None:
    """One call, one error, and the next call has a whole answer: nothing is left behind on the connection."""
    async with case.model(**QUICK if fault in WAITING else {}) as model, asyncio.timeout(20):
        await heard(model)  # a first call takes an SDK longer than a server is given here
        before = len(case.server.calls)
        case.server.fail_next(fault)
        said, end = await heard(model)
        calls = len(case.server.calls) - before
        again = await heard(model) if fault is not Fault.RATE_LIMITED else (ANSWER, None)

    assert isinstance(end, ProviderUnavailable)
    assert calls == 1
    assert bool(said) == (fault in MID_STREAM or fault in {Fault.MISSHAPEN, Fault.NESTED, Fault.NOT_UTF8, Fault.HUGE})
    assert again[0] == ANSWER


@pytest.mark.parametrize("fault", FOR_GOOD)
async def test_what_will_not_pass_is_refused(case: Case, fault: Fault) -> None:
    case.server.fail_next(fault)

    async with case.model() as model:
        end = await failed(model)

    assert isinstance(end, ProviderRefused)
    assert len(case.server.calls) == 1
    expected = {
        Fault.TOO_LONG: ContextOverflow,
        Fault.TOO_LARGE: ContextOverflow,
        Fault.POLICY: ContentRefused,
        Fault.REFUSES: ContentRefused,
    }
    assert type(end) is expected.get(fault, ProviderRefused)


@pytest.mark.parametrize("fault", HARMLESS)
async def test_what_is_odd_but_harmless_changes_nothing(case: Case, fault: Fault) -> None:
    case.server.fail_next(fault)

    async with case.model() as model:
        said, end = await heard(model)

    assert said == ANSWER
    assert isinstance(end, Finish)
    assert end.input_tokens > 0
    assert end.output_tokens > 0


async def test_nobody_there_is_worth_another_try(case: Case) -> None:
    url = "http://127.0.0.1:9/v1"

    async with case.model(**{f"{case.kind}_url": url}) as model:
        end = await failed(model)

    assert isinstance(end, ProviderUnavailable)
    assert "the connection failed" in end.message


@pytest.mark.parametrize(
    ("headers", "at_least", "at_most"),
    [
        ({"Retry-After": "7"}, 6, 7),
        ({"Retry-After-Ms": "9500"}, 9, 9.5),
        ({"Retry-After": "86400"}, 1, 86400),
        ({}, 0, 0),
    ],
)
async def test_the_wish_of_a_busy_provider_is_passed_on_and_kept(
    case: Case, headers: dict[str, str], at_least: float, at_most: float
) -> None:
    """Until its time is over the provider is not called again."""
    case.server.fail_next(Fault.RATE_LIMITED, headers=headers)

    async with case.model(key_rest_s=5.0) as model:
        first, second = await failed(model), await failed(model)

    assert isinstance(first, ProviderUnavailable)
    assert at_least <= (first.retry_after_s or 0) <= at_most
    assert isinstance(second, ProviderUnavailable)
    assert 0 < (second.retry_after_s or 0) <= (at_most or 5)
    assert (second.retry_after_s or 0) <= 300
    assert len(case.server.calls) == 1


async def test_the_wish_of_an_overloaded_provider_is_passed_on(case: Case) -> None:
    case.server.fail_next(Fault.OVERLOADED, headers={"Retry-After": "3"})

    async with case.model() as model:
        end = await failed(model)

    assert isinstance(end, ProviderUnavailable)
    assert end.retry_after_s == 3.0


@pytest.mark.parametrize("trouble", [Fault.RATE_LIMITED, Fault.UNAUTHORIZED, Fault.OUT_OF_CREDIT])
async def test_the_next_key_takes_over(keyed: Case, trouble: Fault) -> None:
    """In the same call, and for those after it: the first key rests."""
    keyed.server.fail_next(trouble)

    async with keyed.model() as model:
        ends = [await heard(model) for _ in range(3)]
        first, second = accounts([model])

    assert [said for said, _ in ends] == [ANSWER] * 3
    assert [call.key for call in keyed.server.calls] == [CANARIES[0], *[CANARIES[1]] * 3]
    assert (first.calls, dict(first.errors)) == (1, {"limited" if trouble is Fault.RATE_LIMITED else "refused": 1})
    assert (second.calls, dict(second.errors)) == (3, {})
    assert first.output_tokens == 0
    assert second.output_tokens == sum(end.output_tokens for _, end in ends if isinstance(end, Finish))


async def test_a_key_is_used_again_after_its_rest(keyed: Case) -> None:
    keyed.server.fail_next(Fault.RATE_LIMITED, Fault.RATE_LIMITED)

    async with keyed.model(key_rest_s=0.0) as model:
        first, second = await heard(model), await heard(model)

    assert isinstance(first[1], ProviderUnavailable)
    assert second[0] == ANSWER
    assert len(keyed.server.calls) == 3


async def test_when_no_key_is_left_the_provider_says_when_one_is(keyed: Case) -> None:
    keyed.server.limited_keys |= set(CANARIES)

    async with keyed.model() as model:
        ends = [await failed(model) for _ in range(3)]

    assert all(isinstance(end, ProviderUnavailable) and 50 < (end.retry_after_s or 0) <= 60 for end in ends)
    assert len(keyed.server.calls) == 2


async def test_when_every_key_is_refused_the_operator_is_told(keyed: Case) -> None:
    keyed.server.known_keys = set()

    async with keyed.model() as model:
        ends = [await failed(model) for _ in range(3)]

    assert all(type(end) is ProviderRefused for end in ends)
    assert "check the keys" in ends[-1].message
    assert len(keyed.server.calls) == 2


async def test_a_failure_that_is_not_about_the_key_is_not_tried_with_another(keyed: Case) -> None:
    keyed.server.fail_next(Fault.SERVER_ERROR)

    async with keyed.model() as model:
        await failed(model)

    assert len(keyed.server.calls) == 1


async def test_calls_share_connections_and_wait_for_a_free_one(case: Case) -> None:
    async with case.model(connections=2) as model, asyncio.timeout(20):
        ends = await asyncio.gather(*(heard(model) for _ in range(20)))

    assert [said for said, _ in ends] == [ANSWER] * 20


async def test_who_gets_no_turn_in_time_is_told_and_the_provider_is_not_called(case: Case) -> None:
    case.server.fail_next(Fault.STALL)

    async with case.model(connections=1) as model, asyncio.timeout(20):
        under_way = asyncio.ensure_future(heard(model))
        await case.server.arrived.acquire()
        hasty = await failed(model, replace(ASK, queue_s=0.01))
        under_way.cancel()
        await asyncio.wait([under_way])
        calls = len(case.server.calls)
        said, _ = await heard(model, replace(ASK, queue_s=10.0))

    assert isinstance(hasty, ProviderBusy)
    assert (calls, said) == (1, ANSWER)


async def test_closing_ends_an_answer_under_way(case: Case) -> None:
    case.server.fail_next(Fault.STALL)

    async with case.model() as model, asyncio.timeout(10):
        call = asyncio.ensure_future(heard(model))
        await case.server.arrived.acquire()
        await model.close()
        said, end = await call

    assert said in {"", "How"}
    assert isinstance(end, ProviderUnavailable)


def shown(error: PipelineError) -> Sequence[str]:
    """Return every text in which an error can be seen: log, record, dead letter, stack trace."""
    chain: list[BaseException | None] = [error, error.__cause__, error.__context__]
    report = error.report(datetime(2026, 1, 1, tzinfo=UTC))
    return [*map(str, chain), *map(repr, chain), repr(report), *traceback.format_exception(error), repr(vars(error))]


@pytest.mark.parametrize("fault", [*TRANSIENT, *FOR_GOOD, *HARMLESS, Fault.SAYS_NOTHING])
async def test_no_key_is_ever_shown(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    """Not by any library at its most talkative, and although these servers quote the key whenever they can."""
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    for kind in KEYED:
        async with opened(kind) as case, case.model(**QUICK) as model:
            case.server.fail_next(fault)
            for end in [(await heard(model))[1], (await heard(model))[1]]:
                seen += shown(end) if isinstance(end, PipelineError) else [repr(end)]
            assert any(call.key == CANARIES[0] for call in case.server.calls)
            seen += [repr(model), repr(vars(model)), repr(accounts([model])), repr(case.settings)]

    seen += [record.getMessage() + repr(record.__dict__) for record in caplog.records]
    assert [text for text in seen if "canary" in text] == []


async def sent(kind: str, model: str, temperature: float) -> Mapping[str, object]:
    async with opened(kind) as case, case.model(models=model) as built:
        async for _ in built.stream(replace(ASK, temperature=temperature)):
            pass
    return case.server.calls[0].body


async def test_only_what_a_model_takes_is_sent() -> None:
    """The catalogue says what that is; the Messages API takes temperatures up to 1."""
    thinking = await sent("anthropic", "claude-opus-5-5", 0.7)
    cool = await sent("anthropic", "claude-haiku-4-5", 1.7)
    plain = await sent("openai", "gpt-6-luna", 1.7)
    reasoning = await sent("openai", "gpt-6.1-sol", 0.7)
    own = await sent("compatible", "compatible:m", 0.7)

    assert "temperature" not in thinking
    assert thinking["output_config"] == {"effort": "low"}
    assert cool["temperature"] == 1.0
    assert (plain["temperature"], plain["reasoning_effort"], "seed" in plain) == (1.7, "none", False)
    assert ("temperature" in reasoning, reasoning["reasoning_effort"]) == (False, "low")
    assert (own["temperature"], own["max_tokens"], isinstance(own["seed"], int)) == (0.7, 64, True)


async def test_nothing_of_the_shell_is_used(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-the-shell")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "OLLAMA_HOST"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async with case.model() as model:
        said, _ = await heard(model)

    assert said == ANSWER
    assert "of-the-shell" not in repr(case.server.calls)
