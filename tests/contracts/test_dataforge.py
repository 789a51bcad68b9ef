"""The DataForge client against a server that knows the contract and misbehaves on demand."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from schemas.records import Feedback, Origin, Rating, RouteDecision, Score, ScoreStatus, Strategy
from streams.clients.dataforge import DataForge, acknowledged
from streams.clients.dataforge_feedback import PARTS
from streams.clients.retry_after import retry_after_s
from streams.errors import DataForgeRefused, DataForgeUnavailable, PipelineError, SettingsInvalid
from streams.settings import DataForgeSettings
from tests.loopback.dataforge import API_KEY, Fault, LoopbackDataForge, loopback_dataforge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FEEDBACK = Feedback(
    origin=Origin(request_id="r1", correlation_id="r1", event_time=NOW, deadline=NOW),
    feedback_id="f1",
    context_pack_id="pack-7",
    pack_version="3",
    chunk_ids=("c1", "c2"),
    query="How long is the Danube? 🦊",
    output="2,850 km.",
    model="smollm2",
    provider="llamacpp",
    cell="general/analysis",
    reward=0.75,
    passed=True,
    scores=(Score(name="relevance", value=0.8), Score(name="coherence", value=0.0, status=ScoreStatus.SKIPPED)),
    tokens_used=321,
    latency_ms=280.5,
    prompt_version="general/1",
    evaluator="rules/2",
    decision=RouteDecision(
        strategy=Strategy.DOMAIN_OPTIMIZED,
        cell="general/analysis",
        model="smollm2",
        provider="llamacpp",
        reasons=("champion",),
        rejected={"claude": "circuit_open"},
        chain=("smollm2", "extractive"),
        cost_estimate_usd=0.25,
        tier="local",
    ),
)
RATING = Rating(
    origin=FEEDBACK.origin,
    rating_id="rating-1",
    score=0.25,
    correction="2,811 km.",
    comment="measured anew",
    rated_by="reader-1",
    at=NOW,
)


@pytest.fixture
async def server() -> AsyncIterator[LoopbackDataForge]:
    async with loopback_dataforge() as serving:
        yield serving


@pytest.fixture
async def client(server: LoopbackDataForge) -> AsyncIterator[DataForge]:
    built = DataForge(DataForgeSettings(url=server.url, api_key=API_KEY, timeout_s=20))
    await built.start()
    yield built
    await built.close()


async def said(client: DataForge, feedback: Feedback = FEEDBACK) -> PipelineError | None:
    (fate,) = await client.deliver([feedback])
    return fate


async def test_feedback_arrives_as_inference_routing_decision_and_outcome(
    server: LoopbackDataForge, client: DataForge
) -> None:
    assert await said(client) is None

    assert server.problems == []
    assert [path.rpartition("/")[2] for path, _ in server.calls] == [
        "inferences",
        "routing-decisions",
        "model-outcomes",
    ]
    assert server.outcomes["f1"] == {
        "outcome_id": "f1",
        "context_bundle_id": "pack-7",
        "model_id": "smollm2",
        "routing_cell": "general/analysis",
        "reward": 0.75,
        "stage": "evaluate",
        "evidence": ["c1", "c2"],
        "source_system": "forgestream",
    }
    assert server.decisions["r1"] == {
        "request_id": "r1",
        "task_type": "analysis",
        "selected_provider": "llamacpp",
        "selected_model": "smollm2",
        "selected_tier": "local",
        "reasons": ["champion"],
        "fallback_chain": ["extractive"],
        "rejected": {"claude": "circuit_open"},
        "latency_ms": 280.5,
        "cost_estimate": 0.25,
    }
    inference = server.inferences["f1"]
    assert (inference["domain"], inference["task_type"]) == ("general", "analysis")
    assert (inference["user_query"], inference["tokens_used"]) == (FEEDBACK.query, 321)
    assert inference["evaluation_details"]["coherence"] == {"value": 0.0, "status": "skipped"}
    assert inference["evaluation_details"]["provenance"] == {
        "request_id": "r1",
        "pack_version": "3",
        "chunk_ids": ["c1", "c2"],
        "prompt_version": "general/1",
        "evaluator": "rules/2",
    }


async def test_an_answer_that_was_not_shown_is_a_failed_inference(server: LoopbackDataForge, client: DataForge) -> None:
    await said(client, dataclasses.replace(FEEDBACK, passed=False, error="the answer gives its instructions away"))

    inference = server.inferences["f1"]
    assert (inference["status"], inference["evaluation_passed"]) == ("failed", False)
    assert inference["error_message"] == "the answer gives its instructions away"


async def test_a_rating_is_an_outcome_and_a_correction_an_inference(
    server: LoopbackDataForge, client: DataForge
) -> None:
    both = dataclasses.replace(FEEDBACK, feedback_id="f2", reward=0.25, rating=RATING)
    mere_score = dataclasses.replace(both, feedback_id="f3", rating=dataclasses.replace(RATING, correction=None))
    mere_words = dataclasses.replace(both, feedback_id="f4", rating=dataclasses.replace(RATING, score=None))

    assert [await said(client, one) for one in (both, mere_score, mere_words)] == [None] * 3

    assert server.problems == []
    assert set(server.outcomes) == {"f2", "f3"}
    assert set(server.inferences) == {"f2", "f4"}
    assert server.decisions == {}
    assert (server.outcomes["f2"]["reward"], server.outcomes["f2"]["stage"]) == (0.25, "rate")
    inference = server.inferences["f2"]
    assert (inference["output"], inference["evaluation_details"]["corrects"]) == ("2,811 km.", "2,850 km.")
    assert inference["evaluation_details"]["rating"]["rated_by"] == "reader-1"


async def test_the_same_feedback_twice_is_known_once(server: LoopbackDataForge, client: DataForge) -> None:
    await said(client)
    await said(client)

    assert (len(server.outcomes), len(server.inferences), len(server.decisions), len(server.calls)) == (1, 1, 1, 6)


async def test_feedback_of_older_writers_without_pack_and_decision_is_taken(
    server: LoopbackDataForge, client: DataForge
) -> None:
    older = dataclasses.replace(FEEDBACK, context_pack_id=None, pack_version=None, chunk_ids=(), decision=None)

    assert await said(client, older) is None

    assert server.problems == []
    assert server.outcomes["f1"]["context_bundle_id"] == "r1"
    assert server.inferences["f1"]["context_pack_id"] is None
    assert server.decisions == {}


async def test_every_call_names_the_version_and_the_key(server: LoopbackDataForge, client: DataForge) -> None:
    await said(client)

    assert {(sent["Accept-Version"], sent["X-API-Key"]) for _, sent in server.calls} == {("1", API_KEY)}


async def test_connections_are_used_again(server: LoopbackDataForge, client: DataForge) -> None:
    for _ in range(5):
        await said(client)

    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault.SERVER_ERROR, Fault.TOO_MANY, Fault.MALFORMED, Fault.MISSING_FIELDS, Fault.MISSHAPEN, Fault.CLOSED, Fault.HALF,
        Fault.FORBIDDEN,
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [0, 1, 2])
async def test_what_may_pass_is_worth_another_try(
    server: LoopbackDataForge, client: DataForge, fault: Fault, before: int
) -> None:
    """Whichever of the three calls fails, the next try says all of it, and DataForge knows each part once."""
    server.fail_next(*[Fault.CONFLICT] * before, fault)

    assert isinstance(await said(client), DataForgeUnavailable)

    assert await said(client) is None
    assert set(server.outcomes) == set(server.inferences) == {"f1"}


async def test_silence_ends_with_the_timeout_and_is_worth_another_try(server: LoopbackDataForge) -> None:
    client = DataForge(DataForgeSettings(url=server.url, api_key=API_KEY, timeout_s=0.1))
    server.fail_next(Fault.SILENCE)

    fate = await said(client)

    assert isinstance(fate, DataForgeUnavailable)
    assert "did not answer" in fate.message
    await client.close()


@pytest.mark.parametrize("fault", [Fault.UNPROCESSABLE, Fault.REDIRECT])
async def test_what_will_not_pass_is_refused(server: LoopbackDataForge, client: DataForge, fault: Fault) -> None:
    server.fail_next(fault)

    fate = await said(client)

    assert isinstance(fate, DataForgeRefused)
    assert fault.value in fate.message


async def test_a_conflict_means_delivered_before(server: LoopbackDataForge, client: DataForge) -> None:
    server.fail_next(*[Fault.CONFLICT] * 3)

    assert await said(client) is None


@pytest.mark.parametrize(
    ("status", "said", "delivered"),
    [
        (201, None, True), (201, {}, True), (201, {"outcome_id": "f1", "rank": 3}, True), (409, None, True),
        (200, {"outcome_id": "f1"}, True), (201, {"outcome_id": "f2"}, False), (201, [], False), (201, 7, False),
        (200, None, False), (200, {}, False), (200, [], False), (200, {"outcome_id": None}, False), (204, None, False),
    ],
)  # fmt: skip
def test_a_record_is_delivered_when_the_answer_says_so(status: int, said: object, delivered: bool) -> None:
    """201 and 409 say it by themselves, as the contract has it; every other success by naming the record."""
    (outcome,) = [part for part in PARTS if part.id_field == "outcome_id"]

    assert acknowledged(outcome, {"outcome_id": "f1"}, status, said) is delivered


async def test_the_wish_of_a_busy_server_is_passed_on(server: LoopbackDataForge, client: DataForge) -> None:
    server.fail_next(Fault.TOO_MANY, headers={"Retry-After": "7"})

    fate = await said(client)

    assert isinstance(fate, DataForgeUnavailable)
    assert fate.retry_after_s == 7.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "2", "retry-after-ms": "soon"}, 2.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, None),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, None),
    ],
)
def test_a_wish_is_understood_or_ignored(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


async def test_nobody_there_is_worth_another_try() -> None:
    client = DataForge(DataForgeSettings(url="http://127.0.0.1:9", timeout_s=1))

    assert isinstance(await said(client), DataForgeUnavailable)

    await client.close()


async def test_a_wrong_key_loses_no_feedback_and_names_the_setting(
    server: LoopbackDataForge, client: DataForge
) -> None:
    wrong = DataForge(DataForgeSettings(url=server.url, api_key="wrong"))

    fate = await said(wrong)

    assert isinstance(fate, DataForgeUnavailable)
    assert "FORGESTREAM_DATAFORGE_API_KEY" in fate.message
    assert await said(client) is None  # the same feedback, once the key is right
    assert set(server.outcomes) == {"f1"}
    await wrong.close()


def many(count: int) -> Sequence[Feedback]:
    return [
        dataclasses.replace(
            FEEDBACK, origin=dataclasses.replace(FEEDBACK.origin, request_id=f"r{at}"), feedback_id=f"f{at}"
        )
        for at in range(count)
    ]


async def test_many_deliveries_at_once_all_arrive(server: LoopbackDataForge, client: DataForge) -> None:
    await asyncio.gather(*(client.deliver([feedback]) for feedback in many(40)))

    assert len(server.outcomes) == len(server.inferences) == len(server.decisions) == 40
    assert len(server.connections) <= 8


@pytest.fixture
async def lister(server: LoopbackDataForge) -> AsyncIterator[DataForge]:
    built = DataForge(DataForgeSettings(url=server.url, api_key=API_KEY, timeout_s=20, batch_records=100))
    yield built
    await built.close()


async def test_where_lists_are_taken_many_records_are_three_calls(server: LoopbackDataForge, lister: DataForge) -> None:
    server.takes_lists = True

    assert await lister.deliver(many(40)) == [None] * 40

    assert (server.lists, len(server.calls)) == ([40, 40, 40], 3)
    assert server.order == [f"f{at}" for at in range(40)]
    assert len(server.inferences) == len(server.decisions) == 40


async def test_a_call_with_many_records_is_bounded_in_bytes(server: LoopbackDataForge) -> None:
    server.takes_lists = True
    limited = DataForgeSettings(url=server.url, api_key=API_KEY, batch_records=100, batch_mb=0.005)
    lister = DataForge(limited)

    assert await lister.deliver(many(40)) == [None] * 40

    assert len(server.outcomes) == len(server.inferences) == 40
    assert 1 < max(server.lists) < 40
    await lister.close()


async def test_where_lists_are_not_taken_records_go_one_by_one_from_then_on(
    server: LoopbackDataForge, lister: DataForge
) -> None:
    assert await lister.deliver(many(3)) == [None] * 3
    assert await lister.deliver(many(6)[3:]) == [None] * 3

    assert len(server.calls) == 1 + 9 + 9
    assert len(server.outcomes) == 6


async def test_one_bad_record_of_a_list_spoils_no_other(server: LoopbackDataForge, lister: DataForge) -> None:
    server.takes_lists = True
    batch = list(many(3))
    batch[1] = dataclasses.replace(batch[1], cell="?")

    fates = await lister.deliver(batch)

    assert [type(fate) for fate in fates] == [type(None), DataForgeRefused, type(None)]
    assert set(server.outcomes) == {"f0", "f2"}


async def test_what_half_an_answer_does_not_name_is_said_again(server: LoopbackDataForge, lister: DataForge) -> None:
    server.takes_lists = True
    server.fail_next(Fault.HALF_A_LIST)

    fates = await lister.deliver(many(4))

    assert [type(fate) for fate in fates] == [type(None), DataForgeUnavailable] * 2
    assert await lister.deliver([many(4)[1], many(4)[3]]) == [None] * 2
    assert set(server.outcomes) == {"f0", "f1", "f2", "f3"}


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.MISSING_FIELDS, Fault.MISSHAPEN, Fault.MALFORMED])
async def test_a_list_that_fails_as_a_whole_is_tried_again_as_a_whole(
    server: LoopbackDataForge, lister: DataForge, fault: Fault
) -> None:
    server.takes_lists = True
    server.fail_next(fault)

    assert {type(fate) for fate in await lister.deliver(many(4))} == {DataForgeUnavailable}
    assert await lister.deliver(many(4)) == [None] * 4


async def test_a_list_that_is_refused_is_said_record_by_record(server: LoopbackDataForge, lister: DataForge) -> None:
    server.takes_lists = True
    server.fail_next(Fault.UNPROCESSABLE)

    assert await lister.deliver(many(4)) == [None] * 4
    assert server.lists == [4, 4]  # the first list was refused, the two others are taken as ever


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host"])
def test_an_address_that_is_no_http_url_is_refused_at_start(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="FORGESTREAM_DATAFORGE_URL"):
        DataForge(DataForgeSettings(url=url))
