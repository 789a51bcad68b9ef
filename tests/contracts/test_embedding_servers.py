"""Embeddings from a server that speaks OpenAI's API, on loopback."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from streams.clients.batching import BatchedEncoder
from streams.clients.openai_embeddings import OpenAiEmbeddings
from streams.errors import ModelMissing, PipelineError, ProviderRefused, ProviderUnavailable
from streams.settings import EmbedSettings
from tests.loopback.port import on_loopback

Body = dict[str, Any]
KEY = "key-of-the-test"


def vectors(body: Body) -> Body:
    """Answer as OpenAI does, last text first: `index` says which is which."""
    rows = [
        {"object": "embedding", "index": number, "embedding": [3.0, 4.0, float(len(text))]}
        for number, text in enumerate(body["input"])
    ]
    return {
        "object": "list",
        "data": rows[::-1],
        "model": body["model"],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


class Server:
    """Answers with `reply`, after a first call that always goes well."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Body] = []
        self.status = 200
        self.refuses: str | None = None
        self.reply: Callable[[Body], Body] = vectors

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": f"wrong key {KEY}", "code": "invalid_api_key"}}, status=401)
        if len(self.asked) == 1:
            return web.json_response(vectors(body))
        if self.refuses in body["input"]:
            return web.json_response({"error": {"message": "no", "type": "invalid_request_error"}}, status=400)
        return web.json_response(self.reply(body), status=self.status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server, app = Server(), web.Application()
    app.router.add_post("/v1/embeddings", server.answer)
    async with on_loopback(app) as url:
        server.url = f"{url}/v1"
        yield server


def encoder(server: Server, *, key: str = KEY) -> BatchedEncoder:
    settings = EmbedSettings(provider="openai", model="bge-small", url=server.url, key=key, timeout_s=5.0)
    return BatchedEncoder(OpenAiEmbeddings(settings), settings)


async def test_texts_get_unit_vectors_in_their_order_and_the_dimension_is_the_servers(server: Server) -> None:
    bge = encoder(server)
    await bge.start()

    found = await bge.encode(["one", "", "\ud800 four", "x" * 100_000])

    assert (bge.model, bge.dimension) == ("bge-small", 3)
    assert [math.hypot(*vector) for vector in found] == pytest.approx([1.0] * 4)
    assert [vector[2] / vector[0] * 3 for vector in found] == pytest.approx([3, 1, 6, 8_000])
    assert [body["model"] for body in server.asked] == ["bge-small"] * 2
    await bge.close()


@pytest.mark.parametrize(
    ("status", "reply", "error"),
    [
        (503, {"error": {"message": "busy"}}, ProviderUnavailable),
        (429, {"error": {"message": "slow down"}}, ProviderUnavailable),
        (404, {"error": {"message": "no such model", "code": "model_not_found"}}, ProviderRefused),
        (200, {"data": []}, ProviderUnavailable),
        (200, {"data": [{"index": 0, "embedding": [1.0, 2.0]}]}, ProviderUnavailable),
        (200, {"data": [{"index": 0, "embedding": [0.0, 0.0, 0.0]}]}, ProviderUnavailable),
        (200, {"data": [{"index": 0, "embedding": "many"}]}, ProviderUnavailable),
        (200, {"data": 7}, ProviderUnavailable),
    ],
)
async def test_what_is_no_vector_is_an_error_of_the_taxonomy(
    server: Server, status: int, reply: Body, error: type[PipelineError]
) -> None:
    bge = encoder(server)
    await bge.start()
    server.status, server.reply = status, lambda _: reply

    with pytest.raises(error):
        await bge.encode(["one"])

    server.status, server.reply = 200, vectors
    assert len(await bge.encode(["one"])) == 1
    await bge.close()


async def test_a_text_the_server_refuses_spoils_no_other(server: Server) -> None:
    """They were asked for together, by different requests."""
    bge = encoder(server)
    await bge.start()
    server.refuses = "seven"

    found = await asyncio.gather(*(bge.encode([text]) for text in ("one", "seven", "two")), return_exceptions=True)

    assert [type(each) for each in found] == [list, ProviderRefused, list]
    assert server.asked[1]["input"] == ["one", "seven", "two"]
    await bge.close()


async def test_a_server_that_gives_no_vectors_is_said_at_the_start_without_its_key(server: Server) -> None:
    wrong = encoder(server, key="other")

    with pytest.raises(ModelMissing, match="FORGESTREAM_EMBED_KEY") as refused:
        await wrong.start()

    assert KEY not in str(refused.value)
    await wrong.close()
