"""What is done outside is done once: calls are counted by those who were called, on sockets of loopback."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from schemas.records import EffectState, TokenEvent, TokenEventType
from streams.circuit import DATAFORGE_FEEDBACK
from streams.clients.dataforge import DataForge
from streams.clients.models.echo import Echo
from streams.errors import ProviderUnavailable
from streams.settings import DataForgeSettings
from tests.clock import FixedClock
from tests.fakes.model import STOP, ScriptedModel
from tests.fakes.provider import LoopbackProvider, loopback_provider, remote_model
from tests.loopback.dataforge import API_KEY, LoopbackDataForge, loopback_dataforge
from tests.pipeline.killing import Assassin
from tests.pipeline.world import SETTINGS, a_question, outside
from topology.memory import MemoryPipeline
from topology.outside import Outside
from topology.units import Unit

ONE_PARTITION = replace(SETTINGS, kafka=replace(SETTINGS.kafka, partitions=1))


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with loopback_provider() as serving:
        yield serving


def in_memory(clock: FixedClock, ports: Outside) -> MemoryPipeline:
    return MemoryPipeline(ONE_PARTITION, ports, clock=clock)


async def asked(
    provider: LoopbackProvider, clock: FixedClock, *, at: int | None, lands: bool = False
) -> tuple[MemoryPipeline, int]:
    """Put a question, with a kill at one of the waits of `route`; returns the settled pipeline and the waits counted."""
    provider.asked.clear()
    async with in_memory(clock, outside(remote_model(provider), clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        with Assassin(pipeline, Unit.INFERENCE, "route", at=at, lands=lands) as assassin:
            await pipeline.settle()
    return pipeline, assassin.waits


def assert_tokens_make_one_answer(events: list[TokenEvent], text: str) -> None:
    """One place of one epoch is one text, however often it came; the highest epoch is the whole answer and its end."""
    places = {(event.epoch, event.sequence): (event.type, event.content) for event in events}
    assert len({(event.epoch, event.sequence, event.type, event.content) for event in events}) == len(places)
    last = [said for (epoch, _), said in sorted(places.items()) if epoch == max(places)[0]]
    assert (last[0][0], last[-1][0]) == (TokenEventType.STREAM_START, TokenEventType.STREAM_COMPLETE)
    assert "".join(content for _, content in last) == text


@pytest.mark.parametrize("lands", [False, True], ids=["outputs lost", "outputs stored"])
async def test_route_killed_at_any_await_asks_again_only_when_nobody_can_know_and_says_so(
    provider: LoopbackProvider, clock: FixedClock, lands: bool
) -> None:
    _, waits = await asked(provider, clock, at=None)
    calls: Counter[int] = Counter()
    flagged: Counter[int] = Counter()

    for at in range(1, waits + 1):
        pipeline, _ = await asked(provider, clock, at=at, lands=lands)

        results = pipeline.records(pipeline.topics.results)
        count = provider.asked["request-1"]
        assert {result.text for result in results} == {f"This is answer number {count}."}
        assert pipeline.dead_letters == []
        repeated = {result.maybe_repeated for result in results}
        assert repeated == {True} or count == 1
        assert len(repeated) == 1
        assert_tokens_make_one_answer(pipeline.records(pipeline.topics.tokens), results[0].text)
        calls[count] += 1
        flagged[count] += repeated == {True}

    assert set(calls) == {1, 2}, "the kills hit before, during and after the call"
    assert flagged[2] == calls[2]
    assert flagged[1] < calls[1]


@pytest.mark.parametrize(
    ("stage", "called_again"), [("deliver", False), (DATAFORGE_FEEDBACK, True)], ids=["handler", "call"]
)
async def test_deliver_killed_at_any_await_delivers_once_and_calls_at_most_twice(
    clock: FixedClock, stage: str, called_again: bool
) -> None:
    """Three posts make a delivery; DataForge takes each id once, whatever is posted again."""
    async with loopback_dataforge() as dataforge:
        _, waits = await delivered(dataforge, clock, stage, at=None)
        assert len(dataforge.calls) == 3
        posts: Counter[int] = Counter()

        for at in range(1, waits + 1):
            pipeline, _ = await delivered(dataforge, clock, stage, at=at)

            assert len(dataforge.outcomes) == len(dataforge.inferences) == 1
            assert len(pipeline.records(pipeline.topics.results)) == 1
            posts[len(dataforge.calls)] += 1

        assert set(posts) <= {3, 4, 5, 6}
        assert (posts[4] + posts[5] + posts[6] > 0) is called_again, "kills in a call hit a delivery under way"


async def delivered(
    dataforge: LoopbackDataForge, clock: FixedClock, stage: str, *, at: int | None
) -> tuple[MemoryPipeline, int]:
    for seen in (dataforge.calls, dataforge.outcomes, dataforge.inferences):
        seen.clear()
    sink = DataForge(DataForgeSettings(url=dataforge.url, api_key=API_KEY))
    async with in_memory(clock, outside(Echo(), clock=clock, sink=sink)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        with Assassin(pipeline, Unit.DELIVERY, stage, at=at) as assassin:
            await pipeline.settle()
    await sink.close()
    return pipeline, assassin.waits


async def test_an_answer_that_is_known_is_published_again_and_nobody_is_asked(clock: FixedClock) -> None:
    """Nothing was committed: prompts and feedback come again, and everything ends as it had."""
    model = ScriptedModel("first", "Mary ", "Shelley.", STOP, clock=clock)
    async with loopback_dataforge() as dataforge:
        sink = DataForge(DataForgeSettings(url=dataforge.url, api_key=API_KEY))
        async with in_memory(clock, outside(model, clock=clock, sink=sink)) as pipeline:
            for number in range(5):
                await pipeline.put(pipeline.topics.texts, a_question(number))
            await pipeline.settle()
            for unit in Unit:
                pipeline.committed[unit].clear()
                pipeline.crash(unit)
            await pipeline.settle()

            assert len(model.asked) == 5
            assert len(dataforge.calls) == 15
            results = pipeline.records(pipeline.topics.results)
            assert len(results) > 5
            assert len({result.result_id for result in results}) == len(set(map(repr, results))) == 5
            assert not any(result.maybe_repeated for result in results)
        await sink.close()


async def test_a_request_that_comes_twice_is_asked_once(clock: FixedClock) -> None:
    """Whether its producer sent it twice or a stage before route did: the answer is known by the request."""
    model = ScriptedModel("first", "Mary Shelley.", STOP, clock=clock)
    async with in_memory(clock, outside(model, clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        assert len(model.asked) == 1
        assert len(pipeline.records(pipeline.topics.answers)) == 2
        tokens = pipeline.records(pipeline.topics.tokens)
        assert {event.epoch for event in tokens} == {0, 1}
        assert "".join(event.content for event in tokens if event.epoch == 1) == "Mary Shelley."


async def test_two_tenants_whose_requests_have_one_id_get_their_own_answers(clock: FixedClock) -> None:
    model = ScriptedModel("first", "Mary Shelley.", STOP, clock=clock)
    async with MemoryPipeline(ONE_PARTITION, outside(model, clock=clock), clock=clock) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1, "Who wrote Frankenstein?", tenant="a"))
        await pipeline.settle()
        model.script("In 1816.", STOP)
        await pipeline.put(pipeline.topics.texts, a_question(1, "When was it begun?", tenant="b"))
        await pipeline.settle()

        texts = {result.origin.tenant: result.text for result in pipeline.records(pipeline.topics.results)}
        assert texts == {"a": "Mary Shelley.", "b": "In 1816."}


async def test_a_request_whose_models_failed_is_asked_again_when_it_is_redriven(clock: FixedClock) -> None:
    """That they failed is known, so the second answer is no repetition; its tokens replace those of the first try."""
    model = ScriptedModel("first", "Ma", ProviderUnavailable("down"), clock=clock)
    async with in_memory(clock, outside(model, clock=clock)) as pipeline:
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()
        model.script("Mary Shelley.", STOP)
        (letter,) = pipeline.dead_letters
        await pipeline.put_bytes(pipeline.topics.prompts, letter.value, key=letter.key)
        await pipeline.settle()

        (answer,) = pipeline.records(pipeline.topics.answers)
        assert (answer.text, answer.maybe_repeated, len(model.asked)) == ("Mary Shelley.", False, 2)
        states = [effect.state for effect in pipeline.records(pipeline.topics.effects)]
        assert states == [EffectState.BEGUN, EffectState.FAILED, EffectState.BEGUN, EffectState.DONE]
        assert_tokens_make_one_answer(pipeline.records(pipeline.topics.tokens), "Mary Shelley.")


async def test_effects_lie_on_the_partition_of_what_they_were_done_for(clock: FixedClock) -> None:
    """Whoever takes a partition over has to read one partition of the log, and is its only writer."""
    async with MemoryPipeline(SETTINGS, outside(Echo(), clock=clock), clock=clock) as pipeline:
        for number in range(8):
            await pipeline.put(pipeline.topics.texts, a_question(number, session_id=f"talk-{number}"))
        await pipeline.settle()

        prompts = {stored.value: stored.partition for stored in pipeline.stored(pipeline.topics.answers)}
        assert set(prompts.values()) == {0, 1}
        sessions = {
            record.origin.session_id: stored.partition
            for record, stored in zip(
                pipeline.records(pipeline.topics.prompts), pipeline.stored(pipeline.topics.prompts), strict=True
            )
        }
        effects = zip(pipeline.records(pipeline.topics.effects), pipeline.stored(pipeline.topics.effects), strict=True)
        assert all(sessions[effect.origin.session_id] == stored.partition for effect, stored in effects)


async def test_an_effect_that_cannot_be_read_stops_nobody(clock: FixedClock) -> None:
    model = ScriptedModel("first", "Mary Shelley.", STOP, clock=clock)
    async with in_memory(clock, outside(model, clock=clock)) as pipeline:
        for value in (b"garbage", b"", None, b"\x00\x00\x00\x00\x01"):
            await pipeline.put_bytes(pipeline.topics.effects, value, key=b"default#request-1/route")
        await pipeline.put_bytes(pipeline.topics.effects, b"\xff", key=b"\xff\xfe/route")
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()

        assert [result.text for result in pipeline.records(pipeline.topics.results)] == ["Mary Shelley."]


async def test_no_model_is_asked_and_no_answer_is_sent_before_the_log_has_it(clock: FixedClock) -> None:
    """A log that is slow makes route wait: twice, before the call and after it."""
    model = ScriptedModel("first", "Mary Shelley.", STOP, clock=clock)
    async with in_memory(clock, outside(model, clock=clock)) as pipeline:
        effects, answers = pipeline.topics.effects, pipeline.topics.answers
        pipeline.logs.withheld.add(effects.name)
        await pipeline.put(pipeline.topics.texts, a_question(1))
        await pipeline.settle()
        asked_at_first = len(model.asked)

        pipeline.logs.withheld.clear()
        while not pipeline.stored(effects):
            await pipeline.settle(1)
        pipeline.logs.withheld.add(effects.name)
        await pipeline.settle()
        states = [effect.state for effect in pipeline.records(effects)]
        sent_before = len(pipeline.stored(answers))

        pipeline.logs.withheld.clear()
        await pipeline.settle()

        assert (asked_at_first, states, sent_before) == (0, [EffectState.BEGUN], 0)
        assert (len(model.asked), len(pipeline.stored(answers))) == (1, 1)
