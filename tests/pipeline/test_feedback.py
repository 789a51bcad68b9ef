"""What is learned reaches DataForge, and what is proposed Sophia: through outages, kills and repetitions, once each, in order."""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from schemas.records import Feedback, Rating, Result, Status
from streams.clients.dataforge import DataForge
from streams.clients.models.echo import Echo
from streams.clients.models.extractive import Extractive
from streams.settings import DataForgeSettings, RateSettings, Settings, WatchSettings
from tests.clock import FixedClock
from tests.fakes.packs import ScriptedPacks
from tests.given import NOON, a_rating
from tests.loopback.dataforge import API_KEY, Fault, LoopbackDataForge, loopback_dataforge
from tests.pipeline.world import FRANKENSTEIN, SETTINGS, a_question, outside
from topology.memory import MemoryPipeline
from topology.outside import Outside
from topology.units import Unit

OUTAGE_S = 600
PATIENT = replace(
    SETTINGS,
    engine=replace(SETTINGS.engine, retry_initial_s=0.2, retry_max_s=5.0),
    dataforge=DataForgeSettings(),
    watch=WatchSettings(),
    rate=RateSettings(grace_s=5.0),
)


@pytest.fixture
async def dataforge() -> AsyncIterator[LoopbackDataForge]:
    async with loopback_dataforge() as serving:
        yield serving


@pytest.fixture
async def sink(dataforge: LoopbackDataForge) -> AsyncIterator[DataForge]:
    made = DataForge(DataForgeSettings(url=dataforge.url, api_key=API_KEY))
    yield made
    await made.close()


def in_memory(
    clock: FixedClock, ports: Outside, *, settings: Settings = PATIENT, chance: Random | None = None
) -> MemoryPipeline:
    return MemoryPipeline(settings, ports, clock=clock, chance=chance)


def results(pipeline: MemoryPipeline) -> dict[str, Result]:
    return {result.origin.request_id: result for result in pipeline.records(pipeline.topics.results)}


def feedback(pipeline: MemoryPipeline) -> dict[str, Feedback]:
    return {one.feedback_id: one for one in pipeline.records(pipeline.topics.feedback)}


async def asked(pipeline: MemoryPipeline, clock: FixedClock, number: int, *, pack: str | None = None) -> None:
    """Put a question that is asked now."""
    question, now = a_question(number), clock.now()
    origin = replace(question.origin, event_time=now, deadline=now + timedelta(seconds=60))
    await pipeline.put(pipeline.topics.texts, replace(question, origin=origin, context_pack_id=pack))


async def test_dataforge_down_for_ten_minutes_under_load_costs_nobody_an_answer_and_loses_no_feedback(
    clock: FixedClock, dataforge: LoopbackDataForge, sink: DataForge
) -> None:
    dataforge.down = lambda: clock.now() < NOON + timedelta(seconds=OUTAGE_S)
    async with in_memory(clock, outside(Echo(), clock=clock, sink=sink)) as pipeline:
        number = 0
        while dataforge.down():
            await asked(pipeline, clock, number, pack=f"pack-{number % 5}")
            number += 1
            while len(pipeline.stored(pipeline.topics.results)) < number:
                await pipeline.settle(20)
            clock.advance(6)
        answered, delivered = results(pipeline), len(dataforge.outcomes)
        calls_while_down = len(dataforge.calls)
        await pipeline.settle()

        assert number >= 60
        assert {result.status for result in answered.values()} == {Status.DEGRADED}
        assert (len(answered), delivered) == (number, 0)
        assert calls_while_down < 60, "the circuit keeps calls back"
        assert set(dataforge.outcomes) == set(dataforge.inferences) == set(feedback(pipeline))
        assert len(dataforge.order) == len(set(dataforge.order)) == number
        assert set(dataforge.decisions) == set(answered)
        assert dataforge.problems == []
        assert pipeline.dead_letters == []


async def test_feedback_on_a_pack_arrives_in_order_through_faults_of_every_kind(
    clock: FixedClock, dataforge: LoopbackDataForge, sink: DataForge
) -> None:
    passing = [Fault.SERVER_ERROR, Fault.CLOSED, Fault.MALFORMED, Fault.HALF, Fault.TOO_MANY, Fault.CONFLICT]
    for seed in range(2):
        chance = Random(seed)
        dataforge.order.clear()
        dataforge.fail_next(*(chance.choice(passing) for _ in range(15)))
        ports = outside(Echo(), clock=clock, sink=sink, packs=ScriptedPacks())
        async with in_memory(clock, ports, chance=chance) as pipeline:
            for number in range(12):
                await asked(pipeline, clock, 100 * seed + number, pack=f"pack-{number % 3}")
            await pipeline.settle()

            written: defaultdict[str | None, list[str]] = defaultdict(list)
            for one in pipeline.records(pipeline.topics.feedback):
                written[one.context_pack_id].append(one.feedback_id)
            pack_of = {one: pack for pack, ids in written.items() for one in ids}
            arrived: defaultdict[str | None, list[str]] = defaultdict(list)
            for outcome_id in dataforge.order:
                arrived[pack_of[outcome_id]].append(outcome_id)
            conflicts = {one for ids in written.values() for one in ids} - set(dataforge.order)
            assert {pack: [one for one in ids if one not in conflicts] for pack, ids in written.items()} == arrived
            assert pipeline.dead_letters == []


async def test_delivery_killed_again_and_again_in_an_outage_loses_nothing(
    clock: FixedClock, dataforge: LoopbackDataForge, sink: DataForge
) -> None:
    dataforge.down = lambda: clock.now() < NOON + timedelta(seconds=120)
    async with in_memory(clock, outside(Echo(), clock=clock, sink=sink)) as pipeline:
        for number in range(20):
            await asked(pipeline, clock, number, pack=f"pack-{number % 3}")
        for _ in range(10):
            await pipeline.settle(60)
            pipeline.crash(Unit.DELIVERY)
        await pipeline.settle()

        assert len(dataforge.outcomes) == len(dataforge.inferences) == 20
        assert {one.origin.request_id for one in feedback(pipeline).values()} == set(dataforge.decisions)


async def rated(pipeline: MemoryPipeline, rating: Rating) -> None:
    await pipeline.put(pipeline.topics.ratings, rating)


async def test_a_rating_is_joined_to_its_answer_after_before_and_twice(
    clock: FixedClock, dataforge: LoopbackDataForge, sink: DataForge
) -> None:
    async with in_memory(clock, outside(Extractive(), clock=clock, sink=sink)) as pipeline:
        await pipeline.put(pipeline.topics.knowledge, FRANKENSTEIN)
        await pipeline.settle()
        after, before = a_question(1), a_question(2, session_id="talk")
        early = a_rating("early", origin=before.origin, score=1.0)
        await rated(pipeline, early)
        await pipeline.settle(1)
        await pipeline.put(pipeline.topics.texts, after)
        await pipeline.put(pipeline.topics.texts, before)
        await pipeline.settle()
        late = a_rating("late", origin=after.origin, score=0.25, correction="Mary Shelley, in 1816.")
        for _ in range(2):
            await rated(pipeline, late)
        await pipeline.settle()

        ratings = {one.rating.rating_id: one for one in feedback(pipeline).values() if one.rating is not None}
        assert set(ratings) == {"early", "late"}
        assert (ratings["early"].origin.request_id, ratings["late"].origin.request_id) == ("request-2", "request-1")
        assert ratings["late"].chunk_ids == ("frankenstein#0",)
        assert dataforge.outcomes[ratings["late"].feedback_id]["evidence"] == ["frankenstein#0"]
        assert dataforge.inferences[ratings["late"].feedback_id]["output"] == "Mary Shelley, in 1816."
        assert dataforge.outcomes[ratings["early"].feedback_id]["reward"] == 1.0
        assert len(dataforge.outcomes) == 4
        assert dataforge.problems == []
        assert pipeline.dead_letters == []


async def test_a_rating_of_what_nobody_answered_waits_and_then_says_so(
    clock: FixedClock, dataforge: LoopbackDataForge, sink: DataForge
) -> None:
    never, rejected = a_question(1), replace(a_question(2), query="")
    async with in_memory(clock, outside(Echo(), clock=clock, sink=sink)) as pipeline:
        await pipeline.put(pipeline.topics.texts, rejected)
        await pipeline.settle()
        await rated(pipeline, a_rating("of a refusal", origin=rejected.origin))
        await rated(pipeline, a_rating("of nothing", origin=never.origin))
        await rated(pipeline, a_rating("senseless", origin=never.origin, score=7.0))
        await pipeline.settle()

        codes = {
            value for letter in pipeline.dead_letters for name, value in letter.headers if name.endswith("error-code")
        }
        assert codes == {b"answer_unknown", b"record_invalid"}
        assert clock.now() >= never.origin.deadline + timedelta(seconds=5)
        assert feedback(pipeline) == {}
        assert dataforge.calls == []


async def test_no_rating_holds_its_partition_up_for_long_whatever_times_it_names(
    clock: FixedClock, dataforge: LoopbackDataForge, sink: DataForge
) -> None:
    """Neither one of ten years ahead nor one whose deadline is a day away, and both leave a dead letter."""
    of_a_day = replace(a_question(1).origin, deadline=NOON + timedelta(days=1))
    ahead = NOON.replace(year=2036)
    of_the_future = replace(a_question(2).origin, event_time=ahead, deadline=ahead + timedelta(seconds=60))
    async with in_memory(clock, outside(Echo(), clock=clock, sink=sink)) as pipeline:
        for number, origin in enumerate((of_a_day, of_the_future)):
            await rated(pipeline, a_rating(f"waits-{number}", origin=origin))
        await pipeline.settle()

        codes = [
            value for letter in pipeline.dead_letters for name, value in letter.headers if name.endswith("error-code")
        ]
        assert codes == [b"answer_pending"] * 2
        assert clock.now() - NOON < timedelta(seconds=PATIENT.rate.wait_s + PATIENT.engine.retry_max_s)
        assert dataforge.calls == []
