"""The Sophia client against a server that knows the contract and misbehaves on demand."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from schemas.records import SophiaProposal
from streams.clients.sophia import Sophia
from streams.errors import PipelineError, SettingsInvalid, SophiaRefused, SophiaUnavailable
from streams.settings import Settings, SophiaSettings
from tests.given import NOON, an_origin
from tests.loopback.sophia import TOKEN, Fault, LoopbackSophia, loopback_sophia

PROPOSAL = SophiaProposal(
    origin=an_origin("request-1"),
    proposal_id="answer:request-1",
    llm_provider="llamacpp",
    model="smollm2",
    confidence=0.8,
    generated_at=NOON,
    nodes=('{"id": "n1", "name": "Mary Shelley", "type": "PERSON", "mentions": 1}', '{"id": "n2"}'),
    edges=('{"source": "n1", "target": "n2", "relation": "write"}',),
    raw_text="Mary Shelley wrote Frankenstein. 🦊",
    embedding_id="e1",
    embedding_model="minilm",
    vector=(0.6, -0.8),
    metadata={"cell": "literary/analysis"},
    provenance=("source=answer", "facts_by=en_core_web_sm", "formula=a=b"),
)


@pytest.fixture
async def server() -> AsyncIterator[LoopbackSophia]:
    async with loopback_sophia() as serving:
        yield serving


@pytest.fixture
async def client(server: LoopbackSophia) -> AsyncIterator[Sophia]:
    built = Sophia(SophiaSettings(url=server.url, token=TOKEN, timeout_s=20))
    await built.start()
    yield built
    await built.close()


async def submitted(client: Sophia, proposal: SophiaProposal = PROPOSAL) -> PipelineError | None:
    (fate,) = await client.deliver([proposal])
    return fate


async def test_a_proposal_arrives_with_every_field_of_the_contract(server: LoopbackSophia, client: Sophia) -> None:
    assert await submitted(client) is None

    assert server.problems == []
    assert server.proposals["answer:request-1"] == {
        "proposal_id": "answer:request-1",
        "correlation_id": "request-1",
        "source_service": "tests",
        "llm_provider": "llamacpp",
        "model": "smollm2",
        "confidence": 0.8,
        "generated_at": "2026-11-21T12:00:00+00:00",
        "nodes": [{"id": "n1", "name": "Mary Shelley", "type": "PERSON", "mentions": 1}, {"id": "n2"}],
        "edges": [{"source": "n1", "target": "n2", "relation": "write"}],
        "raw_text": "Mary Shelley wrote Frankenstein. 🦊",
        "embedding": {"vector": [0.6, -0.8], "dimension": 2, "model": "minilm", "embedding_id": "e1"},
        "metadata": {"cell": "literary/analysis"},
        "provenance": {"source": "answer", "facts_by": "en_core_web_sm", "formula": "a=b"},
    }


@pytest.mark.parametrize(
    "fault",
    [
        Fault.SERVER_ERROR, Fault.TOO_MANY, Fault.CLOSED, Fault.MALFORMED, Fault.MISSING_FIELDS, Fault.MISSHAPEN, Fault.EMPTY,
        Fault.HALF, Fault.FORBIDDEN,
    ],
)  # fmt: skip
async def test_what_may_pass_is_worth_another_try(server: LoopbackSophia, client: Sophia, fault: Fault) -> None:
    server.fail_next(fault)

    assert isinstance(await submitted(client), SophiaUnavailable)

    assert await submitted(client) is None
    assert set(server.proposals) == {"answer:request-1"}


@pytest.mark.parametrize("fault", [Fault.UNPROCESSABLE, Fault.REDIRECT, Fault.NOT_ACCEPTED])
async def test_what_will_not_pass_is_refused(server: LoopbackSophia, client: Sophia, fault: Fault) -> None:
    server.fail_next(fault)

    fate = await submitted(client)

    assert isinstance(fate, SophiaRefused)
    assert fault.value in fate.message or "rejected" in fate.message


async def test_a_wrong_token_loses_no_proposal_and_names_the_setting(server: LoopbackSophia, client: Sophia) -> None:
    wrong = Sophia(SophiaSettings(url=server.url, token="wrong"))

    fate = await submitted(wrong)

    assert isinstance(fate, SophiaUnavailable)
    assert "FORGESTREAM_SOPHIA_TOKEN" in fate.message
    assert await submitted(client) is None
    assert set(server.proposals) == {"answer:request-1"}
    await wrong.close()


async def test_a_proposal_that_was_taken_and_not_confirmed_comes_again_under_its_id(
    server: LoopbackSophia, client: Sophia
) -> None:
    server.fail_next(Fault.TAKEN_AND_CLOSED)

    assert isinstance(await submitted(client), SophiaUnavailable)
    assert await submitted(client) is None

    assert server.came == {"answer:request-1": 2}
    assert len(server.proposals) == 1


async def test_a_conflict_means_submitted_before(server: LoopbackSophia, client: Sophia) -> None:
    server.fail_next(Fault.CONFLICT)

    assert await submitted(client) is None


async def test_silence_ends_with_the_timeout(server: LoopbackSophia) -> None:
    client = Sophia(SophiaSettings(url=server.url, token=TOKEN, timeout_s=0.1))
    server.fail_next(Fault.SILENCE)

    assert isinstance(await submitted(client), SophiaUnavailable)

    await client.close()


async def test_the_wish_of_a_busy_server_is_passed_on(server: LoopbackSophia, client: Sophia) -> None:
    server.fail_next(Fault.TOO_MANY, headers={"Retry-After": "7"})

    fate = await submitted(client)

    assert isinstance(fate, SophiaUnavailable)
    assert fate.retry_after_s == 7.0


async def test_a_body_that_breaks_the_contract_is_refused_with_what_is_wrong(
    server: LoopbackSophia, client: Sophia
) -> None:
    fate = await submitted(client, replace(PROPOSAL, raw_text="", vector=()))

    assert isinstance(fate, SophiaRefused)
    assert "raw_text" in fate.context["answer"]
    assert len(server.problems) == 3


async def test_connections_are_few_and_used_again(server: LoopbackSophia, client: Sophia) -> None:
    many = [replace(PROPOSAL, proposal_id=f"p{number}") for number in range(20)]

    assert await asyncio.gather(*(submitted(client, one) for one in many)) == [None] * 20

    assert len(server.proposals) == 20
    assert len(server.connections) <= SophiaSettings().parallel


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host"])
def test_an_address_that_is_no_http_url_is_refused_at_start(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="FORGESTREAM_SOPHIA_URL"):
        Sophia(SophiaSettings(url=url))


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        ({"SOPHIA_API_KEY": "key", "SOPHIA_API_TOKEN": "token"}, "key"),
        ({"SOPHIA_API_TOKEN": "token"}, "token"),
        ({"SOPHIA_API_TOKEN": "token", "FORGESTREAM_SOPHIA_TOKEN": "own"}, "own"),
        ({"SOPHIA_API_KEY": ""}, ""),
    ],
)
def test_the_token_is_read_under_the_names_sophia_has_for_it(environ: dict[str, str], token: str) -> None:
    assert Settings.read(environ).sophia.token == token
    assert token not in repr(Settings.read(environ).sophia) or not token
