"""Units killed between any two moves, outputs refused or late: what must hold whatever the instant."""

from collections import defaultdict
from dataclasses import replace
from random import Random

import pytest

from schemas.ids import result_id
from schemas.records import Status
from streams.clients.models.echo import Echo
from streams.errors import DeliveryFailed, Transient
from streams.ports import Model
from tests.clock import FixedClock
from tests.given import a_verdict
from tests.pipeline.world import SETTINGS, CrashingModel, HashingEncoder, UnevenModel, a_question, outside
from topology.memory import MemoryPipeline
from topology.units import Unit

QUESTIONS = 2
ONE_PARTITION = replace(SETTINGS, kafka=replace(SETTINGS.kafka, partitions=1))  # every record has others behind it
VERDICTS = 4


def in_memory(clock: FixedClock, *models: Model, seed: int | None = None) -> MemoryPipeline:
    chance = None if seed is None else Random(seed)
    return MemoryPipeline(ONE_PARTITION, outside(*(models or (Echo(),)), clock=clock), clock=clock, chance=chance)


async def ask(pipeline: MemoryPipeline, questions: int = QUESTIONS) -> None:
    for number in range(questions):
        await pipeline.put(pipeline.topics.texts, a_question(number))


def assert_every_question_ended_once(pipeline: MemoryPipeline, questions: int = QUESTIONS) -> None:
    """Every question has results of one id, every verdict is counted once, and the views show what the tables hold."""
    results = pipeline.records(pipeline.topics.results)
    ids = defaultdict(set)
    for result in results:
        ids[result.origin.request_id].add(result.result_id)
    assert ids == {f"request-{number}": {result_id(f"request-{number}")} for number in range(questions)}
    assert {result.status for result in results} <= {Status.OK, Status.DEGRADED}
    assert pipeline.dead_letters == []
    (standing,) = pipeline.table("champions")["general/analysis"].standings
    verdicts = {verdict.verdict_id for verdict in pipeline.records(pipeline.topics.verdicts)}
    assert standing.samples == len(verdicts) == questions
    calls = {outcome.outcome_id for outcome in pipeline.records(pipeline.topics.outcomes)}
    assert sum(len(row.calls) for row in pipeline.table("circuits").values()) == len(calls)
    assert {row.cell: row for row in pipeline.records(pipeline.topics.standings)} == pipeline.table("champions")
    states = {row.dependency: row for row in pipeline.records(pipeline.topics.circuit_states)}
    assert states == pipeline.table("circuits")


async def test_a_crash_after_any_move_loses_no_question(clock: FixedClock) -> None:
    """Every unit dies right after it committed all that it holds for done: what it acknowledged must be safe."""
    async with in_memory(clock) as undisturbed:
        await ask(undisturbed)
        moves = await undisturbed.settle()

    for moment in range(moves + 1):
        async with in_memory(clock) as pipeline:
            await ask(pipeline)
            await pipeline.settle(moment)
            pipeline.commit()
            for unit in Unit:
                pipeline.crash(unit)
            await pipeline.settle()

            assert_every_question_ended_once(pipeline)


async def test_a_crash_after_any_move_loses_no_dead_letter(clock: FixedClock) -> None:
    """What a request that fails leaves behind is as safe as an answer."""
    async with in_memory(clock, CrashingModel()) as undisturbed:
        await ask(undisturbed, 1)
        moves = await undisturbed.settle()

    for moment in range(moves + 1):
        async with in_memory(clock, CrashingModel()) as pipeline:
            await ask(pipeline, 1)
            await pipeline.settle(moment)
            pipeline.commit()
            pipeline.crash(Unit.INFERENCE)
            await pipeline.settle()

            assert {result.result_id for result in pipeline.records(pipeline.topics.results)} == {
                result_id("request-0")
            }
            assert {letter.value for letter in pipeline.dead_letters} == {
                pipeline.stored(pipeline.topics.prompts)[0].value
            }


@pytest.mark.parametrize("unit", [Unit.INFERENCE, Unit.LEARNING, Unit.DELIVERY])
async def test_one_unit_may_crash_again_and_again(clock: FixedClock, unit: Unit) -> None:
    """Whatever the interleaving, with records overtaking each other, and with and without a last commit."""
    for seed in range(12):
        async with in_memory(clock, UnevenModel(), seed=seed) as pipeline:
            await ask(pipeline, 5)
            for life in range(10):
                await pipeline.settle(12)
                if life % 4:
                    pipeline.commit(unit)
                pipeline.crash(unit)
            await pipeline.settle()

            assert_every_question_ended_once(pipeline, 5)


async def test_what_waits_is_not_acknowledged_with_what_has_overtaken_it(clock: FixedClock) -> None:
    """The first question waits for its second try while those behind it are answered; then its unit dies."""
    ports = outside(Echo(), clock=clock, encoder=HashingEncoder(Transient("busy")))
    async with MemoryPipeline(ONE_PARTITION, ports, clock=clock) as pipeline:
        await ask(pipeline, 3)
        while len(pipeline.records(pipeline.topics.results)) < 2:
            await pipeline.settle(1)
        overtaking = {result.origin.request_id for result in pipeline.records(pipeline.topics.results)}
        pipeline.commit()
        pipeline.crash(Unit.INFERENCE)
        await pipeline.settle()

        assert overtaking == {"request-1", "request-2"}
        assert_every_question_ended_once(pipeline, 3)


async def test_what_is_written_again_after_a_crash_counts_once(clock: FixedClock) -> None:
    """Verdicts and outcomes that were stored before their inputs were acknowledged come again, at new offsets."""
    async with in_memory(clock) as undisturbed:
        await ask(undisturbed)
        moves = await undisturbed.settle()

    repeated = {"verdicts": 0, "outcomes": 0}
    for moment in range(moves + 1):
        async with in_memory(clock) as pipeline:
            await ask(pipeline)
            await pipeline.settle(moment)
            pipeline.crash(Unit.INFERENCE)  # nothing was committed
            await pipeline.settle()

            assert_every_question_ended_once(pipeline)
            verdicts = pipeline.records(pipeline.topics.verdicts)
            outcomes = pipeline.records(pipeline.topics.outcomes)
            repeated["verdicts"] += len(verdicts) - len({verdict.verdict_id for verdict in verdicts})
            repeated["outcomes"] += len(outcomes) - len({outcome.outcome_id for outcome in outcomes})
    assert min(repeated.values()) > 0, "no crash made a record come again: this test has shown nothing"


async def test_a_crash_with_nothing_committed_repeats_all_and_counts_nothing_twice(clock: FixedClock) -> None:
    """The table remembers what it has counted, also what was written to its changelog and never acknowledged."""
    async with in_memory(clock) as undisturbed:
        for number in range(VERDICTS):
            await undisturbed.put(undisturbed.topics.verdicts, a_verdict("first", number / 10))
        moves = await undisturbed.settle()
        expected = undisturbed.table("champions")

    for moment in range(moves + 1):
        async with in_memory(clock) as pipeline:
            for number in range(VERDICTS):
                await pipeline.put(pipeline.topics.verdicts, a_verdict("first", number / 10))
            await pipeline.settle(moment)
            pipeline.crash(Unit.LEARNING)
            await pipeline.settle()

            assert pipeline.table("champions") == expected
            assert pipeline.records(pipeline.topics.standings)[-1] == expected["literary/analysis"]


@pytest.mark.parametrize("seed", range(10))
async def test_a_conversation_keeps_its_order_in_any_interleaving(clock: FixedClock, seed: int) -> None:
    async with in_memory(clock, UnevenModel(), seed=seed) as pipeline:
        for number in range(12):
            await pipeline.put(pipeline.topics.texts, a_question(number, session_id=f"talk-{number % 3}"))
        await pipeline.settle()

        results = pipeline.records(pipeline.topics.results)
        for talk in range(3):
            answered = [result.origin.request_id for result in results if result.origin.session_id == f"talk-{talk}"]
            assert answered == [f"request-{number}" for number in range(talk, 12, 3)]


@pytest.mark.parametrize("refused", ["requests", "prompts", "tokens", "results", "standings", "outcomes"])
async def test_an_output_the_broker_refuses_stops_the_unit_and_is_made_again(clock: FixedClock, refused: str) -> None:
    async with in_memory(clock) as pipeline:
        topic = getattr(pipeline.topics, refused)
        pipeline.logs.refused[topic.name] = 1
        await ask(pipeline)
        await pipeline.settle()

        ((_, error),) = pipeline.fatal
        assert isinstance(error, DeliveryFailed)
        assert pipeline.stored(topic)
        assert_every_question_ended_once(pipeline)


async def test_a_refused_changelog_record_is_written_by_the_next_life(clock: FixedClock) -> None:
    async with in_memory(clock) as pipeline:
        changelog = "forgestream-learning-champions-changelog"
        pipeline.logs.refused[changelog] = 1
        await pipeline.put(pipeline.topics.verdicts, a_verdict())
        await pipeline.settle()

        assert len(pipeline.logs.of(changelog)) == 1
        assert pipeline.table("champions")["literary/analysis"].counted == {"verdicts-0": 0}


async def test_nothing_is_committed_before_its_outputs_are_confirmed(clock: FixedClock) -> None:
    async with in_memory(clock) as pipeline:
        topics = pipeline.topics
        pipeline.logs.withheld.add(topics.results.name)
        await pipeline.put(topics.texts, a_question(1))
        await pipeline.settle()

        committed = {tp.topic for tp in pipeline.committed[Unit.INFERENCE]}
        assert topics.answers.name in committed
        assert topics.evaluations.name not in committed

        pipeline.logs.withheld.clear()
        await pipeline.settle()
        assert topics.evaluations.name in {tp.topic for tp in pipeline.committed[Unit.INFERENCE]}


async def test_questions_after_a_crash_go_on_where_the_tables_were(clock: FixedClock) -> None:
    """Rows come back from the changelog, and the views still show them."""
    async with in_memory(clock) as pipeline:
        await ask(pipeline)
        await pipeline.settle()
        before = pipeline.table("champions"), pipeline.table("circuits")

        for unit in Unit:
            pipeline.crash(unit)
        assert (pipeline.table("champions"), pipeline.table("circuits")) == before

        await pipeline.put(pipeline.topics.texts, replace(a_question(QUESTIONS), model="echo"))
        assert await pipeline.settle() > 0
        (standing,) = pipeline.table("champions")["general/analysis"].standings
        assert standing.samples == QUESTIONS + 1
