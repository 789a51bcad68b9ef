"""Feedback, ratings and proposals on a real broker, with a DataForge and a Sophia that go away and come back."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.records import Origin, Proposal, Status, TextQuery
from streams.clients.dataforge import DataForge
from streams.clients.models.echo import Echo
from streams.clients.sophia import Sophia
from streams.clock import SystemClock
from streams.settings import DataForgeSettings, SophiaSettings, WatchSettings
from tests.broker.deployed import KafkaPipeline, deployed, on_broker
from tests.eventually import POLL_S
from tests.given import a_rating
from tests.loopback.dataforge import API_KEY, loopback_dataforge
from tests.loopback.sophia import TOKEN, loopback_sophia
from tests.pipeline.world import SETTINGS, outside

OUTAGE_S = 2.0
QUESTIONS = 60
PASSING = replace(
    SETTINGS,
    dataforge=DataForgeSettings(retry_initial_s=0.1, retry_max_s=0.3),
    sophia=SophiaSettings(retry_initial_s=0.1, retry_max_s=0.3),
    watch=WatchSettings(failure_threshold=5, recovery_s=0.5, probe_s=0.1),
)


def asked_now(number: int) -> Origin:
    now = datetime.now(UTC)
    return Origin(
        request_id=f"request-{number}",
        correlation_id=f"request-{number}",
        session_id=f"talk-{number % 7}",
        event_time=now,
        deadline=now + timedelta(seconds=60),
    )


async def ask(pipeline: KafkaPipeline, numbers: Sequence[int]) -> None:
    for number in numbers:
        question = TextQuery(
            origin=asked_now(number), query=f"Question {number}?", context_pack_id=f"pack-{number % 5}"
        )
        await pipeline.put(pipeline.topics.texts, question)


@pytest.mark.timeout(120)
async def test_an_outage_costs_no_answer_and_everything_is_delivered_once_when_it_is_over(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as owned:
        dataforge = await owned.enter_async_context(loopback_dataforge())
        sophia = await owned.enter_async_context(loopback_sophia())
        sink = DataForge(DataForgeSettings(url=dataforge.url, api_key=API_KEY))
        proposal_sink = Sophia(SophiaSettings(url=sophia.url, token=TOKEN))
        owned.push_async_callback(sink.close)
        owned.push_async_callback(proposal_sink.close)
        ports = outside(Echo(), clock=SystemClock(), sink=sink, proposal_sink=proposal_sink)
        pipeline = await owned.enter_async_context(deployed(on_broker(PASSING, kafka, namespace), ports, tmp_path))
        over = datetime.now(UTC) + timedelta(seconds=OUTAGE_S)
        dataforge.down = sophia.down = lambda: datetime.now(UTC) < over

        await ask(pipeline, range(QUESTIONS))
        for number in range(20):
            origin = asked_now(number)
            await pipeline.put(
                pipeline.topics.proposals,
                Proposal(origin=origin, proposal_id=f"p{number}", raw_text="Mary wrote.", confidence=0.5, metadata={}),
            )
        async with asyncio.timeout(20):
            while len(await asyncio.to_thread(pipeline.stored, pipeline.topics.results)) < QUESTIONS:  # noqa: ASYNC110 - no event: the broker tells
                await asyncio.sleep(POLL_S)
        delivered_before = len(dataforge.outcomes) if dataforge.down() else 0
        await pipeline.settle()

        results = pipeline.records(pipeline.topics.results)
        assert {result.status for result in results} == {Status.DEGRADED}
        assert delivered_before == 0
        assert len(dataforge.order) == len(set(dataforge.order)) == QUESTIONS
        assert len(dataforge.inferences) == len(dataforge.decisions) == QUESTIONS
        assert len(sophia.order) == len(sophia.proposals) == 20
        assert (dataforge.problems, sophia.problems, pipeline.dead_letters) == ([], [], [])

        await pipeline.put(pipeline.topics.ratings, a_rating("r1", origin=results[0].origin, score=1.0))
        early = asked_now(QUESTIONS)
        await pipeline.put(pipeline.topics.ratings, a_rating("r2", origin=early, score=0.0))
        await pipeline.put(pipeline.topics.texts, TextQuery(origin=early, query="Was this rated before it was asked?"))
        await pipeline.settle()

        rated = {
            one.rating.rating_id: one for one in pipeline.records(pipeline.topics.feedback) if one.rating is not None
        }
        assert {name: one.query for name, one in rated.items()} == {
            "r1": results[0].query,
            "r2": "Was this rated before it was asked?",
        }
        assert {dataforge.outcomes[one.feedback_id]["reward"] for one in rated.values()} == {0.0, 1.0}
