"""The beginning of an answer is spoken while the model still writes the rest; what holds for whole answers holds for it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agents.compose.adapters import canary
from agents.route.aloud import Aloud
from schemas.records import Result, SpeechChunk, SpeechRequest, Status, TextQuery
from streams.errors import ProviderUnavailable
from streams.ports import Model
from tests.clock import FixedClock
from tests.fakes.model import STOP, ScriptedModel
from tests.fakes.speech import ScriptedEngine
from tests.given import a_prompt, a_request, a_text_query
from tests.pipeline.test_voice import VOICE
from tests.pipeline.voices import spoken_by
from tests.pipeline.world import outside
from topology.memory import MemoryPipeline
from topology.units import Unit

ASKED = replace(a_text_query("Who wrote Frankenstein?", origin=spoken_by(1, session_id="talk")), speak=True)


def in_memory(clock: FixedClock, *models: Model) -> MemoryPipeline:
    return MemoryPipeline(VOICE, outside(*models, clock=clock, engines=[ScriptedEngine()]), clock=clock)


def speech(pipeline: MemoryPipeline) -> Sequence[tuple[int, str, bool]]:
    spoken: Sequence[SpeechChunk] = pipeline.records(pipeline.topics.speech)
    return [(chunk.sequence, chunk.text, chunk.last) for chunk in spoken]


async def answered(pipeline: MemoryPipeline, asked: TextQuery = ASKED) -> Result:
    await pipeline.put(pipeline.topics.texts, asked)
    await pipeline.settle()
    (result,) = pipeline.records(pipeline.topics.results)
    assert pipeline.dead_letters == []
    return result


def test_the_first_sentence_is_asked_for_as_soon_as_the_next_has_begun() -> None:
    sent: list[SpeechRequest] = []
    aloud = Aloud(a_prompt(request=a_request(speak=True)), sent.append, VOICE.synthesize)

    asked_for = []
    for epoch, token in ((0, "Mary. "), (1, "Mary "), (1, "Shelley. "), (1, "She "), (1, "wrote it. "), (2, "No. It")):
        aloud.hear(epoch, token)
        asked_for.append([request.text for request in sent])

    assert asked_for == [[], [], [], *[["Mary Shelley."]] * 3]
    assert (aloud.begun, sent[0].begins, sent[0].ends) == ("Mary Shelley.", 0, False)


async def test_an_answer_begun_early_is_spoken_to_its_end(clock: FixedClock) -> None:
    model = ScriptedModel("first", "Mary ", "Shelley. ", "She ", "wrote it. ", "In 1818.", STOP, clock=clock)
    async with in_memory(clock, model) as pipeline:
        result = await answered(pipeline)

        assert speech(pipeline) == [(0, "Mary Shelley.", False), (1, "She wrote it.", False), (2, "In 1818.", True)]
        assert result.text == "Mary Shelley. She wrote it. In 1818."


async def test_another_models_answer_is_spoken_whole_after_what_was_begun(clock: FixedClock) -> None:
    first = ScriptedModel("first", "Mary Shelley. She", ProviderUnavailable("gone"), clock=clock)
    async with in_memory(clock, first, ScriptedModel("second", "It was Byron. No.", STOP, clock=clock)) as pipeline:
        result = await answered(pipeline)

        assert result.text == "It was Byron. No."
        assert speech(pipeline) == [(0, "Mary Shelley.", False), (1, "It was Byron.", False), (2, "No.", True)]


async def test_an_answer_withheld_after_its_beginning_is_ended_without_words(clock: FixedClock) -> None:
    secret = canary(ASKED.origin.request_id)
    model = ScriptedModel("first", "Mary Shelley. She", f" said {secret}. Yes.", STOP, clock=clock)
    async with in_memory(clock, model) as pipeline:
        result = await answered(pipeline)

        assert (result.status, result.text) == (Status.FAILED, "")
        assert speech(pipeline) == [(0, "Mary Shelley.", False), (1, "", True)]


@pytest.mark.parametrize(
    ("script", "strict"),
    [
        ((f"{canary(ASKED.origin.request_id).upper()} it is. So", " it is."), False),
        (("Mary Shelley. She", " wrote it."), True),
        (("Mary Shelley.",), False),
    ],
)
async def test_nothing_is_begun_beside_the_canary_for_a_strict_request_or_without_need(
    clock: FixedClock, script: Sequence[str], strict: bool
) -> None:
    async with in_memory(clock, ScriptedModel("first", *script, STOP, clock=clock)) as pipeline:
        await answered(pipeline, replace(ASKED, strict=strict))

        requests: Sequence[SpeechRequest] = pipeline.records(pipeline.topics.speech_requests)
        assert all(request.ends and not request.begins for request in requests)


async def test_the_rest_of_an_answer_is_silenced_by_a_newer_turn(clock: FixedClock) -> None:
    async with in_memory(clock, ScriptedModel("first", "Yes.", STOP, clock=clock)) as pipeline:
        origin, requests = spoken_by(1, session_id="talk"), pipeline.topics.speech_requests
        await pipeline.put(requests, SpeechRequest(origin=origin, text="Begun.", turn=1, ends=False))
        await pipeline.settle()
        newer = replace(origin, request_id="request-2")
        await pipeline.put(requests, SpeechRequest(origin=newer, text="", turn=2))
        await pipeline.put(requests, SpeechRequest(origin=origin, text="The rest.", turn=1, begins=1))
        await pipeline.settle()

        assert speech(pipeline) == [(0, "Begun.", False)]


async def test_a_crash_in_the_middle_loses_no_sentence(clock: FixedClock) -> None:
    """Whatever unit dies at whatever moment: every sentence is heard under its own number, and one is the last."""
    script = ("Mary Shelley. ", "She wrote it. ", "In 1818.", STOP)
    whole = {(0, "Mary Shelley.", False), (1, "She wrote it.", False), (2, "In 1818.", True)}
    async with in_memory(clock, ScriptedModel("first", *script, clock=clock)) as undisturbed:
        await undisturbed.put(undisturbed.topics.texts, ASKED)
        moves = await undisturbed.settle()

    for unit in (Unit.INFERENCE, Unit.VOICE):
        for moment in range(moves // 2, moves + 1, 7):
            async with in_memory(clock, ScriptedModel("first", *script, clock=clock)) as pipeline:
                await pipeline.put(pipeline.topics.texts, ASKED)
                await pipeline.settle(moment)
                pipeline.commit()
                pipeline.crash(unit)
                await pipeline.settle()

                assert set(speech(pipeline)) == whole
                assert pipeline.dead_letters == []
