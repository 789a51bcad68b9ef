"""Answers that are given again, seen from the outside: in memory and with the real caches."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.records import Answer, Result, Status, TextQuery
from streams.clients.answers import AnswerCache, answers_of
from streams.clients.cache import LruCache
from streams.errors import ProviderUnavailable
from streams.ports import Model
from streams.settings import CacheSettings, RedisSettings, Settings
from tests.clock import FixedClock
from tests.fakes.model import STOP, PausingModel, ScriptedModel
from tests.loopback.redis_server import redis_server
from tests.pipeline.world import FRANKENSTEIN, SETTINGS, a_question, outside
from topology.memory import MemoryPipeline

EXACT = replace(SETTINGS, cache=CacheSettings())
NEAR = replace(SETTINGS, cache=CacheSettings(semantic="on", similar_general=0.5, verify_share=0.0))
AGAIN = "Who wrote the Frankenstein?"


class Asked:
    """A pipeline with what it remembers."""

    def __init__(self, pipeline: MemoryPipeline, answers: AnswerCache) -> None:
        self.pipeline = pipeline
        self.counts = answers.counts

    async def put(self, *questions: TextQuery) -> list[Result]:
        for question in questions:
            await self.pipeline.put(self.pipeline.topics.texts, question)
        await self.pipeline.settle()
        results = {result.origin.request_id: result for result in self.pipeline.records(self.pipeline.topics.results)}
        return [results[question.origin.request_id] for question in questions]


def pipeline_of(clock: FixedClock, settings: Settings, *models: Model) -> tuple[MemoryPipeline, AnswerCache]:
    answers = answers_of(settings, clock)
    ports = replace(outside(*models, clock=clock), answers=answers)
    return MemoryPipeline(settings, ports, clock=clock), answers


def a_model(clock: FixedClock, *said: str) -> ScriptedModel:
    return ScriptedModel("first", *(said or ("Mary ", "Shelley.")), STOP, clock=clock)


async def test_the_same_question_is_asked_once_and_everything_about_the_hit_is_recorded(clock: FixedClock) -> None:
    model = a_model(clock)
    pipeline, answers = pipeline_of(clock, EXACT, model)
    async with pipeline:
        asked = Asked(pipeline, answers)
        (first,) = await asked.put(a_question(1))
        clock.advance(5)
        (second,) = await asked.put(a_question(2))
        tokens = [e for e in pipeline.records(pipeline.topics.tokens) if e.origin.request_id == "request-2"]
        decisions = {d.decision_id: d for d in pipeline.records(pipeline.topics.decisions)}
        judged = [verdict.verdict_id for verdict in pipeline.records(pipeline.topics.verdicts)]
        answered: list[Answer] = pipeline.records(pipeline.topics.answers)

    assert len(model.asked) == 1
    assert (first.text, first.reused) == ("Mary Shelley.", None)
    assert second.text == first.text
    assert second.reused is not None
    assert (second.reused.kind, second.reused.request_id) == ("exact", "request-1")
    assert (second.reused.similarity, second.reused.age_s) == (1.0, 5.0)
    assert (second.cost_usd, second.output_tokens) == (0.0, 2)
    assert second.decision is not None
    assert second.decision.reasons == decisions["request-2"].reasons == ("cache_exact",)
    assert decisions["request-2"].chosen is None
    assert [(event.type.value, event.content) for event in tokens] == [
        ("stream_start", ""), ("token", "Mary Shelley."), ("stream_complete", ""),
    ]  # fmt: skip
    assert len(judged) == 1, "an answer is judged once, or the champions would count it twice"
    assert {answer.canary for answer in answered} != {answered[0].canary}
    assert asked.counts == {"miss": 1, "exact": 1}


async def test_an_answer_is_given_again_while_every_provider_is_down_and_no_longer_than_its_time(
    clock: FixedClock,
) -> None:
    model = a_model(clock)
    pipeline, answers = pipeline_of(clock, EXACT, model)
    async with pipeline:
        asked = Asked(pipeline, answers)
        await asked.put(a_question(1))
        model.script(ProviderUnavailable("down"))
        (other,) = await asked.put(a_question(2, "What is a monster?"))
        (known,) = await asked.put(a_question(3))

    assert (other.status, known.text) == (Status.FAILED, "Mary Shelley.")


@pytest.mark.parametrize(
    "other",
    [
        replace(a_question(2), origin=replace(a_question(2).origin, tenant="other")),
        replace(a_question(2), domain="market"),
        replace(a_question(2), task="generation"),
        replace(a_question(2), temperature=0.5),
        replace(a_question(2), max_tokens=9),
        replace(a_question(2), model="first"),
        a_question(2, "Who wrote frankenstein?"),
    ],
    ids=["tenant", "domain", "task", "temperature", "max_tokens", "model", "letters"],
)
async def test_another_question_is_asked_anew(clock: FixedClock, other: TextQuery) -> None:
    model = a_model(clock)
    pipeline, answers = pipeline_of(clock, EXACT, model)
    async with pipeline:
        await Asked(pipeline, answers).put(a_question(1))
        await Asked(pipeline, answers).put(other)

    assert len(model.asked) == 2


async def test_what_is_known_of_a_subject_changes_the_answer(clock: FixedClock) -> None:
    model = a_model(clock)
    pipeline, answers = pipeline_of(clock, EXACT, model)
    async with pipeline:
        asked = Asked(pipeline, answers)
        await asked.put(a_question(1))
        await pipeline.put(pipeline.topics.knowledge, FRANKENSTEIN)
        await pipeline.settle()
        await asked.put(a_question(2))

    assert len(model.asked) == 2


async def test_in_a_conversation_with_a_past_nothing_is_taken_from_others_and_nothing_given(clock: FixedClock) -> None:
    model = a_model(clock)
    pipeline, answers = pipeline_of(clock, EXACT, model)
    async with pipeline:
        asked = Asked(pipeline, answers)
        await asked.put(a_question(1, session_id="s1"), a_question(2, session_id="s2"))
        assert len(model.asked) == 1, "without a past the same question is the same question"
        await asked.put(a_question(3, session_id="s1"))
        await asked.put(a_question(4, session_id="s2"))
        await asked.put(a_question(5, session_id="s1"))
        requests = pipeline.records(pipeline.topics.requests)

    assert sum(bool(request.history) for request in requests) == 3
    assert len(model.asked) == 4


async def test_the_same_question_at_the_same_time_is_asked_once(clock: FixedClock) -> None:
    model = PausingModel("first", "Mary ", "Shelley.", STOP, clock=clock)
    pipeline, answers = pipeline_of(clock, EXACT, model)
    async with pipeline:
        asked = Asked(pipeline, answers)
        waiting = asyncio.ensure_future(asked.put(*(a_question(number) for number in range(20))))
        await asyncio.wait_for(model.paused.wait(), 5)
        model.go_on.set()
        results = await waiting

    assert len(model.asked) == 1
    kinds = [result.reused.kind for result in results if result.reused is not None]
    assert len(kinds) == 19
    assert set(kinds) <= {"in_flight", "exact"}
    assert "in_flight" in kinds
    assert {result.text for result in results} == {"Mary Shelley."}


async def test_who_waited_for_a_failure_asks_by_itself(clock: FixedClock) -> None:
    model = PausingModel("first", "Mary ", ProviderUnavailable("reset"), clock=clock)
    pipeline, answers = pipeline_of(clock, EXACT, model)
    async with pipeline:
        asked = Asked(pipeline, answers)
        waiting = asyncio.ensure_future(asked.put(a_question(1), a_question(2)))
        await asyncio.wait_for(model.paused.wait(), 5)
        model.script("Mary ", "Shelley.", STOP)
        model.go_on.set()
        results = await waiting

    (failed,) = (result for result in results if result.status is Status.FAILED)
    (answered,) = (result for result in results if result is not failed)
    assert (answered.text, answered.reused) == ("Mary Shelley.", None)


async def test_a_near_question_gets_the_answer_only_where_that_is_wanted(clock: FixedClock) -> None:
    for settings, calls in ((EXACT, 2), (NEAR, 1)):
        model = a_model(clock)
        pipeline, answers = pipeline_of(clock, settings, model)
        async with pipeline:
            await Asked(pipeline, answers).put(a_question(1))
            (near,) = await Asked(pipeline, answers).put(a_question(2, AGAIN))

        assert len(model.asked) == calls
        assert (near.reused is not None) == (settings is NEAR)
        if near.reused is not None:
            assert near.reused.kind == "semantic"
            assert 0.5 <= near.reused.similarity < 1.0


@pytest.mark.parametrize(("fresh", "false_hits"), [("Mary Shelley.", 0), ("It was 1818.", 1)])
async def test_some_near_answers_are_asked_anew_and_compared(clock: FixedClock, fresh: str, false_hits: int) -> None:
    checking = replace(NEAR, cache=replace(NEAR.cache, verify_share=1.0))
    model = a_model(clock)
    pipeline, answers = pipeline_of(clock, checking, model)
    async with pipeline:
        asked = Asked(pipeline, answers)
        await asked.put(a_question(1))
        model.script(fresh, STOP)
        (result,) = await asked.put(a_question(2, AGAIN))

    assert (result.text, result.reused, len(model.asked)) == (fresh, None, 2)
    assert (asked.counts["verified"], asked.counts["false_hit"]) == (1, false_hits)


async def test_an_answer_given_again_is_the_same_when_its_worker_dies_and_the_cache_is_lost(clock: FixedClock) -> None:
    """The log has it before anybody sees it."""
    model, seconds = a_model(clock), [0.0]
    answers = AnswerCache(EXACT.cache, LruCache(most_entries=9, most_bytes=9999, time=lambda: seconds[-1]), clock)
    ports = replace(outside(model, clock=clock), answers=answers)
    pipeline = MemoryPipeline(EXACT, ports, clock=clock)
    async with pipeline:
        asked = Asked(pipeline, answers)
        await asked.put(a_question(1))
        await asked.put(a_question(2))
        model.script("Somebody else.", STOP)
        seconds.append(EXACT.cache.ttl_s + 1)
        for unit in pipeline.committed:
            pipeline.committed[unit].clear()
            pipeline.crash(unit)
        await pipeline.settle()
        texts = {result.text for result in pipeline.records(pipeline.topics.results)}

    assert texts == {"Mary Shelley."}
    assert len(model.asked) == 1


async def test_workers_share_their_answers_by_redis(clock: FixedClock, tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        shared = replace(EXACT, redis=RedisSettings(url=server.url, timeout_s=10.0))
        models = a_model(clock), a_model(clock)
        for number, model in enumerate(models):
            pipeline, answers = pipeline_of(clock, shared, model)
            async with pipeline:
                (result,) = await Asked(pipeline, answers).put(a_question(number))
            await answers.close()

    assert [len(model.asked) for model in models] == [1, 0]
    assert result.reused is not None
    assert result.reused.request_id == "request-0"


async def test_speed_is_on_the_result(clock: FixedClock) -> None:
    model = ScriptedModel("first", 0.2, "Mary ", 0.5, "Shelley.", 0.5, STOP, clock=clock)
    pipeline, answers = pipeline_of(clock, SETTINGS, model)
    async with pipeline:
        (result,) = await Asked(pipeline, answers).put(a_question(1))

    assert (result.ttft_ms, result.latency_ms, result.tokens_per_s) == (200.0, 1200.0, 2.0)


async def test_every_prompt_says_what_was_drawn_for_it(clock: FixedClock) -> None:
    """Or no answer would ever be reused, or all of a tenant."""
    pipeline, answers = pipeline_of(clock, EXACT, a_model(clock))
    async with pipeline:
        await Asked(pipeline, answers).put(a_question(1), a_question(2))
        prompts = pipeline.records(pipeline.topics.prompts)

    assert len({prompt.mark for prompt in prompts}) == 2
    assert len({prompt.user.replace(prompt.mark, "") for prompt in prompts}) == 1
    assert all(prompt.user.count(prompt.mark) >= 4 for prompt in prompts)
