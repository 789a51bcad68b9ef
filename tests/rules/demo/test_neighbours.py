"""Whom the demo runs beside forgestream."""

import socket

import httpx
import pytest

from topology.demo.dataforge import INFERENCES, NEEDED, OUTCOMES, LoopbackDataForge

INFERENCE = {"inference_id": "f1", **dict.fromkeys(NEEDED[INFERENCES], "x")}
OUTCOME = {"outcome_id": "f1", **dict.fromkeys(NEEDED[OUTCOMES], "x")}


async def test_dataforge_knows_what_arrived_whole_and_counts_what_came_twice() -> None:
    async with LoopbackDataForge() as dataforge, httpx.AsyncClient(base_url=dataforge.url) as client:
        await client.post(INFERENCES, json=INFERENCE)
        assert dataforge.known() == frozenset()

        await client.post(OUTCOMES, json=OUTCOME)
        assert (dataforge.known(), dataforge.twice()) == (frozenset({"f1"}), frozenset())

        await client.post(OUTCOMES, json=OUTCOME)
        assert dataforge.twice() == {"f1"}


async def test_dataforge_refuses_what_breaks_the_contract() -> None:
    async with LoopbackDataForge() as dataforge, httpx.AsyncClient(base_url=dataforge.url) as client:
        answer = await client.post(OUTCOMES, json={"outcome_id": "f1"})

        assert answer.status_code == 422
        assert "reward" in dataforge.refused[0]
        assert dataforge.known() == frozenset()


async def test_dataforge_takes_lists_and_says_what_became_of_each() -> None:
    async with LoopbackDataForge() as dataforge, httpx.AsyncClient(base_url=dataforge.url) as client:
        await client.post(INFERENCES, json=[INFERENCE, {**INFERENCE, "inference_id": "f2"}])
        answer = await client.post(OUTCOMES, json=[OUTCOME, {"outcome_id": "f2"}])

        assert [result["status"] for result in answer.json()["results"]] == [201, 422]
        assert dataforge.known() == {"f1"}


async def test_dataforge_has_the_packs_it_was_given() -> None:
    async with LoopbackDataForge() as dataforge, httpx.AsyncClient(base_url=dataforge.url) as client:
        dataforge.packs["whales"] = {"context_pack_id": "whales", "primary": {}}

        assert (await client.get("/df/rag/context-pack/whales")).json()["context_pack_id"] == "whales"
        assert (await client.get("/df/rag/context-pack/sharks")).status_code == 404


async def test_dataforge_goes_away_and_comes_back_at_the_same_address() -> None:
    async with LoopbackDataForge() as dataforge:
        await dataforge.stop()
        async with httpx.AsyncClient(base_url=dataforge.url) as client:
            with pytest.raises(httpx.ConnectError):
                await client.post(OUTCOMES, json=OUTCOME)

            await dataforge.start()
            assert (await client.post(OUTCOMES, json=OUTCOME)).status_code == 201


async def test_nobody_listens_when_the_demo_is_over() -> None:
    async with LoopbackDataForge() as dataforge:
        port = int(dataforge.url.rpartition(":")[2])

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
