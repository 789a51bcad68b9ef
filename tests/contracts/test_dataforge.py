"""The DataForge client against a server that knows the contract and misbehaves on demand."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from schemas.records import Feedback, Origin, Score, ScoreStatus
from streams.clients.dataforge import DataForge
from streams.clients.retry_after import retry_after_s
from streams.errors import DataForgeRefused, DataForgeUnavailable, SettingsInvalid
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


async def test_feedback_arrives_as_an_outcome_and_an_inference(server: LoopbackDataForge, client: DataForge) -> None:
    await client.deliver(FEEDBACK)

    assert server.problems == []
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
    inference = server.inferences["f1"]
    assert (inference["domain"], inference["task_type"]) == ("general", "analysis")
    assert (inference["user_query"], inference["tokens_used"]) == (FEEDBACK.query, 321)
    assert inference["evaluation_details"]["coherence"] == {"value": 0.0, "status": "skipped"}


async def test_the_same_feedback_twice_is_known_once(server: LoopbackDataForge, client: DataForge) -> None:
    await client.deliver(FEEDBACK)
    await client.deliver(FEEDBACK)

    assert (len(server.outcomes), len(server.inferences), len(server.calls)) == (1, 1, 4)


async def test_feedback_without_a_pack_is_tied_to_its_request(server: LoopbackDataForge, client: DataForge) -> None:
    await client.deliver(dataclasses.replace(FEEDBACK, context_pack_id=None, pack_version=None, chunk_ids=()))

    assert server.problems == []
    assert server.outcomes["f1"]["context_bundle_id"] == "r1"
    assert server.inferences["f1"]["context_pack_id"] is None


async def test_every_call_names_the_version_and_the_key(server: LoopbackDataForge, client: DataForge) -> None:
    await client.deliver(FEEDBACK)

    assert {(sent["Accept-Version"], sent["X-API-Key"]) for _, sent in server.calls} == {("1", API_KEY)}


async def test_connections_are_used_again(server: LoopbackDataForge, client: DataForge) -> None:
    for _ in range(5):
        await client.deliver(FEEDBACK)

    assert len(server.connections) == 1


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.TOO_MANY, Fault.MALFORMED, Fault.CLOSED])
async def test_what_may_pass_is_worth_another_try(server: LoopbackDataForge, client: DataForge, fault: Fault) -> None:
    server.fail_next(fault)

    with pytest.raises(DataForgeUnavailable):
        await client.deliver(FEEDBACK)

    await client.deliver(FEEDBACK)
    assert set(server.outcomes) == set(server.inferences) == {"f1"}


async def test_silence_ends_with_the_timeout_and_is_worth_another_try(server: LoopbackDataForge) -> None:
    client = DataForge(DataForgeSettings(url=server.url, api_key=API_KEY, timeout_s=0.1))
    server.fail_next(Fault.SILENCE)

    with pytest.raises(DataForgeUnavailable, match="did not answer"):
        await client.deliver(FEEDBACK)

    await client.close()


@pytest.mark.parametrize("fault", [Fault.UNPROCESSABLE, Fault.UNAUTHORIZED, Fault.REDIRECT])
async def test_what_will_not_pass_is_refused(server: LoopbackDataForge, client: DataForge, fault: Fault) -> None:
    server.fail_next(fault)

    with pytest.raises(DataForgeRefused, match=fault.value):
        await client.deliver(FEEDBACK)


async def test_a_conflict_means_delivered_before(server: LoopbackDataForge, client: DataForge) -> None:
    server.fail_next(Fault.CONFLICT, Fault.CONFLICT)

    await client.deliver(FEEDBACK)


async def test_the_wish_of_a_busy_server_is_passed_on(server: LoopbackDataForge, client: DataForge) -> None:
    server.fail_next(Fault.TOO_MANY, headers={"Retry-After": "7"})

    with pytest.raises(DataForgeUnavailable) as raised:
        await client.deliver(FEEDBACK)

    assert raised.value.retry_after_s == 7.0


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

    with pytest.raises(DataForgeUnavailable):
        await client.deliver(FEEDBACK)

    await client.close()


async def test_a_wrong_key_is_refused(server: LoopbackDataForge) -> None:
    client = DataForge(DataForgeSettings(url=server.url, api_key="wrong"))

    with pytest.raises(DataForgeRefused, match="401"):
        await client.deliver(FEEDBACK)

    await client.close()


async def test_many_deliveries_at_once_all_arrive(server: LoopbackDataForge, client: DataForge) -> None:
    many = [dataclasses.replace(FEEDBACK, feedback_id=f"f{number}") for number in range(40)]

    await asyncio.gather(*(client.deliver(feedback) for feedback in many))

    assert len(server.outcomes) == len(server.inferences) == 40
    assert len(server.connections) <= 8


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host"])
def test_an_address_that_is_no_http_url_is_refused_at_start(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="FORGESTREAM_DATAFORGE_URL"):
        DataForge(DataForgeSettings(url=url))
