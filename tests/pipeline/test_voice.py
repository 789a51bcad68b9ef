"""Speech through the whole pipeline in memory: clips in chunks of any order, live frames, answers spoken, units killed."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from schemas.ids import result_id
from schemas.records import AudioChunk, Result, SpeechChunk, SpeechRequest, Status, TextQuery, Transcript
from streams.clients.models.echo import Echo
from streams.errors import ProviderRefused, SpeechUnavailable
from streams.settings import Settings, TranscribeSettings, WatchSettings
from streams.speech import Recognizer, SpeechEngine
from tests.clock import FixedClock
from tests.fakes.speech import ReadingRecognizer, SampleRecognizer, ScriptedEngine, frames
from tests.pipeline.voices import QUESTION, a_clip, a_stream, spoken_by
from tests.pipeline.world import SETTINGS, outside
from topology.memory import MemoryPipeline
from topology.units import Unit

VOICE = replace(
    SETTINGS,
    kafka=replace(SETTINGS.kafka, partitions=1),
    transcribe=TranscribeSettings(max_clip_mb=0.1, live_step_s=0.3),
    watch=WatchSettings(failure_threshold=2, recovery_s=5.0),
)
IMPATIENT = replace(VOICE, transcribe=replace(VOICE.transcribe, clip_idle_s=0.5))


def in_memory(
    clock: FixedClock,
    *,
    seed: int | None = None,
    recognizer: Recognizer | None = None,
    engines: Sequence[SpeechEngine] = (),
    settings: Settings = VOICE,
) -> MemoryPipeline:
    chance = None if seed is None else Random(seed)
    ports = outside(Echo(), clock=clock, recognizer=recognizer, engines=engines)
    return MemoryPipeline(settings, ports, clock=clock, chance=chance)


async def say(pipeline: MemoryPipeline, chunks: Sequence[AudioChunk]) -> None:
    for chunk in chunks:
        await pipeline.put(pipeline.topics.audio, chunk)


def results(pipeline: MemoryPipeline) -> dict[str, Result]:
    return {result.origin.request_id: result for result in pipeline.records(pipeline.topics.results)}


def finals(pipeline: MemoryPipeline) -> list[Transcript]:
    return [said for said in pipeline.records(pipeline.topics.transcripts) if said.final]


async def test_a_spoken_question_is_answered_and_the_answer_spoken(clock: FixedClock) -> None:
    async with in_memory(clock, engines=[ScriptedEngine()]) as pipeline:
        await say(pipeline, a_clip(1, speak=True))
        await pipeline.settle()

        (said,), (query,) = pipeline.records(pipeline.topics.transcripts), pipeline.records(pipeline.topics.texts)
        assert (said.text, query.query, query.confidence) == (QUESTION, QUESTION, said.confidence)
        assert results(pipeline)["request-1"].text == QUESTION
        (spoken,) = pipeline.records(pipeline.topics.speech)
        assert (spoken.content, spoken.engine, spoken.last) == (QUESTION.encode(), "first", True)
        (analysis,) = pipeline.records(pipeline.topics.analyses)
        assert analysis.origin.request_id == "request-1"
        assert pipeline.dead_letters == []


async def test_the_answer_to_a_question_that_was_hardly_understood_says_so(clock: FixedClock) -> None:
    """And a person who types the same at the same time has an answer without that mark."""
    unsure = replace(VOICE, transcribe=replace(VOICE.transcribe, doubtful_below=0.99))
    async with in_memory(clock, settings=unsure) as pipeline:
        await say(pipeline, a_clip(1, session_id="talk"))
        await pipeline.put(pipeline.topics.texts, TextQuery(origin=spoken_by(2, session_id="talk"), query=QUESTION))
        await pipeline.settle()

        (said,), ended = finals(pipeline), results(pipeline)
        heard, typed = ended["request-1"], ended["request-2"]
        assert (heard.status, heard.degradations[0], heard.text) == (Status.DEGRADED, "transcript_doubtful", QUESTION)
        assert heard.confidence == said.confidence > 0.5
        assert (typed.text, typed.confidence) == (QUESTION, None)
        assert "transcript_doubtful" not in typed.degradations


async def test_chunks_may_come_in_any_order_doubled_and_of_many_clips_at_once(clock: FixedClock) -> None:
    for seed in range(10):
        chance = Random(seed)
        clips = [a_clip(number, f"Question number {number}?", chunks=1 + number) for number in range(6)]
        sent = [chunk for clip in clips for chunk in clip for _ in range(1 + chance.randrange(2))]
        chance.shuffle(sent)
        async with in_memory(clock) as pipeline:
            await say(pipeline, sent)
            await pipeline.settle()

            assert {name: result.text for name, result in results(pipeline).items()} == {
                f"request-{number}": f"Question number {number}?" for number in range(6)
            }
            assert len(finals(pipeline)) == 6
            assert pipeline.dead_letters == []


async def test_a_lost_chunk_ends_its_clip_with_the_number_of_what_is_missing(clock: FixedClock) -> None:
    clip = a_clip(1, chunks=4)
    async with in_memory(clock, settings=IMPATIENT) as pipeline:
        await say(pipeline, [*clip[:2], *clip[3:], *a_clip(2)])
        await pipeline.settle()

        lost = results(pipeline)["request-1"]
        assert (lost.status, [error.error_code for error in lost.errors]) == (Status.REJECTED, ["audio_invalid"])
        assert "1 of 4 chunks never came, the first of them is 2" in lost.errors[0].message
        assert results(pipeline)["request-2"].text == QUESTION
        assert pipeline.dead_letters == []


async def test_a_clip_that_is_never_finished_ends_and_leaves_nothing_behind(clock: FixedClock) -> None:
    async with in_memory(clock, settings=IMPATIENT) as pipeline:
        await say(pipeline, a_clip(1)[:-1])
        await pipeline.settle()

        ended = results(pipeline)["request-1"]
        assert ended.status is Status.REJECTED
        assert "the last chunk never came; 2 others did" in ended.errors[0].message
        assert set(pipeline.committed[Unit.VOICE].values()) >= {2}


async def test_a_chunk_sent_again_after_its_clip_ended_changes_nothing(clock: FixedClock) -> None:
    clip = a_clip(1)
    async with in_memory(clock) as pipeline:
        await say(pipeline, clip)
        await pipeline.settle()
        await say(pipeline, clip[1:])
        await pipeline.settle()

        assert len(finals(pipeline)) == 1
        assert [result.status for result in pipeline.records(pipeline.topics.results)] != [Status.REJECTED]


@pytest.mark.parametrize(
    ("chunks", "problem"),
    [
        (a_clip(1, "x" * 120_000, chunks=2), "the clip is larger than 104,857 bytes"),
        ([replace(a_clip(1)[0], sequence=-1)], "sequence must be 0 to 16,383, not -1"),
        ([replace(a_clip(1)[0], sequence=1 << 62, last=True)], "sequence must be"),
        ([a_clip(1)[0], replace(a_clip(1)[0], content=b"other")], "chunk 0 came twice with different content"),
        ([a_clip(1)[2], replace(a_clip(1)[1], last=True)], "two chunks say that they are the last"),
        ([a_clip(1)[2], replace(a_clip(1)[1], sequence=7)], "chunk 7 comes after the last, 2"),
        ([a_clip(1)[0], replace(a_clip(1)[1], codec="mp3")], "chunk 1 says mp3, others wav"),
        ([replace(a_clip(1, "bad", chunks=1)[0])], "the file is damaged"),
        ([replace(a_clip(1, chunks=1)[0], intent="sing")], "intent must be one of"),
        ([replace(a_clip(1, chunks=1)[0], clip_id="")], "clip_id must be 1 to 128 of the characters"),
        ([replace(a_clip(1, chunks=1)[0], live=True)], "live speech must be pcm_s16le"),
    ],
)
async def test_bad_audio_is_rejected_with_what_is_wrong(
    clock: FixedClock, chunks: Sequence[AudioChunk], problem: str
) -> None:
    async with in_memory(clock) as pipeline:
        await say(pipeline, chunks)
        await say(pipeline, a_clip(2))
        await pipeline.settle()

        ended = results(pipeline)["request-1"]
        assert (ended.status, ended.result_id) == (Status.REJECTED, result_id("request-1"))
        assert problem in "; ".join(error.message for error in ended.errors)
        assert results(pipeline)["request-2"].text == QUESTION
        assert pipeline.dead_letters == []


async def test_silence_is_told_from_a_question(clock: FixedClock) -> None:
    async with in_memory(clock) as pipeline:
        await say(pipeline, a_clip(1, "    ", chunks=1))
        await pipeline.settle()

        assert [error.error_code for error in results(pipeline)["request-1"].errors] == ["nothing_heard"]
        assert pipeline.records(pipeline.topics.texts) == []


async def test_a_transcript_can_be_all_that_is_wanted_or_be_proposed(clock: FixedClock) -> None:
    async with in_memory(clock) as pipeline:
        await say(pipeline, a_clip(1, intent="transcript"))
        await say(pipeline, a_clip(2, intent="proposal"))
        await pipeline.settle()

        assert [(r.status, r.text) for r in results(pipeline).values()] == [(Status.OK, QUESTION)] * 2
        (proposal,) = pipeline.records(pipeline.topics.proposals)
        assert (proposal.raw_text, proposal.origin.request_id) == (QUESTION, "request-2")
        assert pipeline.records(pipeline.topics.texts) == []


async def test_a_hundred_clips_at_once_all_end_in_the_order_of_their_sessions(clock: FixedClock) -> None:
    clips = [a_clip(number, f"Question {number}?", chunks=4, session_id=f"talk-{number % 10}") for number in range(100)]
    async with in_memory(clock, seed=3) as pipeline:
        for position in range(4):  # all of them interleaved
            await say(pipeline, [clip[position] for clip in clips])
        await pipeline.settle()

        heard: defaultdict[str | None, list[str]] = defaultdict(list)
        for query in pipeline.records(pipeline.topics.texts):
            heard[query.origin.session_id].append(query.query)
        assert heard == {
            f"talk-{talk}": [f"Question {number}?" for number in range(talk, 100, 10)] for talk in range(10)
        }
        assert len(results(pipeline)) == 100


async def test_recognition_that_fails_for_a_moment_is_tried_again_with_the_whole_clip(clock: FixedClock) -> None:
    recognizer = ReadingRecognizer(SpeechUnavailable("busy"), SpeechUnavailable("busy"))
    async with in_memory(clock, recognizer=recognizer) as pipeline:
        await say(pipeline, [*a_clip(1, session_id="talk"), *a_clip(2, "And when?", session_id="talk")])
        await pipeline.settle()

        assert [query.query for query in pipeline.records(pipeline.topics.texts)] == [QUESTION, "And when?"]
        assert pipeline.dead_letters == []


async def test_recognition_that_stays_down_fails_the_clip_and_no_other(clock: FixedClock) -> None:
    recognizer = ReadingRecognizer(*[SpeechUnavailable("down")] * VOICE.engine.retry_attempts)
    async with in_memory(clock, recognizer=recognizer) as pipeline:
        await say(pipeline, [*a_clip(1, session_id="talk"), *a_clip(2, session_id="talk")])
        await pipeline.settle()

        assert results(pipeline)["request-1"].status is Status.FAILED
        assert results(pipeline)["request-2"].text == QUESTION
        assert len(pipeline.dead_letters) == 1


async def test_a_crash_in_the_middle_loses_no_clip(clock: FixedClock) -> None:
    """Two interleaved clips; the voice unit dies after every third move, having committed all it holds for done."""
    first, second = a_clip(1, session_id="talk"), a_clip(2, "And when?", session_id="talk")
    sent = [first[0], second[0], second[1], first[1], second[2], first[2]]

    async with in_memory(clock) as undisturbed:
        await say(undisturbed, sent)
        moves = await undisturbed.settle()

    patient = replace(VOICE, transcribe=replace(VOICE.transcribe, clip_idle_s=1.0))
    for moment in range(0, moves + 1, 3):
        async with in_memory(clock, settings=patient) as pipeline:
            await say(pipeline, sent)
            await pipeline.settle(moment)
            pipeline.commit()
            pipeline.crash(Unit.VOICE)
            await pipeline.settle()

            ended = pipeline.records(pipeline.topics.results)
            assert {(r.origin.request_id, r.result_id, r.text) for r in ended} == {
                ("request-1", result_id("request-1"), QUESTION),
                ("request-2", result_id("request-2"), "And when?"),
            }
            assert pipeline.dead_letters == []


async def test_the_voice_unit_may_crash_again_and_again(clock: FixedClock) -> None:
    for seed in range(8):
        clips = [a_clip(number, f"Question {number}?", session_id=f"talk-{number % 2}") for number in range(5)]
        sent = [chunk for clip in clips for chunk in clip]
        Random(seed).shuffle(sent)
        async with in_memory(
            clock, seed=seed, settings=IMPATIENT, recognizer=ReadingRecognizer(SpeechUnavailable("busy"))
        ) as pipeline:
            await say(pipeline, sent)
            for life in range(8):
                await pipeline.settle(7)
                if life % 3:
                    pipeline.commit(Unit.VOICE)
                pipeline.crash(Unit.VOICE)
            await pipeline.settle()

            assert {name: r.text for name, r in results(pipeline).items()} == {
                f"request-{number}": f"Question {number}?" for number in range(5)
            }
            assert pipeline.dead_letters == []


async def test_live_speech_is_told_while_it_is_spoken_and_becomes_questions(clock: FixedClock) -> None:
    spoken = frames([0, 1, 2, 3, 0, 0, 0, 4, 5, 0, 0])
    async with in_memory(clock, recognizer=SampleRecognizer()) as pipeline:
        await say(pipeline, a_stream(1, spoken))
        await pipeline.settle()

        said = pipeline.records(pipeline.topics.transcripts)
        assert [transcript.text for transcript in said if transcript.final] == ["w1 w2 w3", "w4 w5"]
        assert len([transcript for transcript in said if not transcript.final]) >= 2
        for before, after in pairwise(said):
            if not before.final:  # what was said to be settled stays
                assert after.text.startswith(before.text[: before.stable_chars])
        queries = pipeline.records(pipeline.topics.texts)
        assert [query.query for query in queries] == ["w1 w2 w3", "w4 w5"]
        assert len({query.origin.request_id for query in queries}) == 2
        assert {query.origin.session_id for query in queries} == {"talk-1"}
        silences = pipeline.records(pipeline.topics.speech_requests)
        assert [silence.text for silence in silences] == ["", ""]  # whoever speaks is not spoken over
        assert pipeline.dead_letters == []


async def test_live_speech_of_two_tenants_with_the_same_names_is_heard_apart(clock: FixedClock) -> None:
    of_a = a_stream(1, frames([1, 2, 0, 0]))
    of_b = [
        replace(frame, origin=replace(frame.origin, request_id="request-2", tenant="b"))
        for frame in a_stream(1, frames([3, 4, 0, 0]))
    ]
    async with in_memory(clock, recognizer=SampleRecognizer()) as pipeline:
        await say(pipeline, [frame for pair in zip(of_a, of_b, strict=True) for frame in pair])
        await pipeline.settle()

        heard = {query.origin.tenant: query.query for query in pipeline.records(pipeline.topics.texts)}
        assert heard == {"default": "w1 w2", "b": "w3 w4"}


async def test_a_crash_in_the_middle_loses_no_live_speech(clock: FixedClock) -> None:
    sent = a_stream(1, frames([0, 1, 2, 0, 0, 3, 0, 0]))
    async with in_memory(clock, recognizer=SampleRecognizer()) as undisturbed:
        await say(undisturbed, sent)
        moves = await undisturbed.settle()

    for moment in range(0, moves + 1, 5):
        async with in_memory(clock, recognizer=SampleRecognizer()) as pipeline:
            await say(pipeline, sent)
            await pipeline.settle(moment)
            pipeline.commit()
            pipeline.crash(Unit.VOICE)
            await pipeline.settle()

            heard = " ".join(dict.fromkeys(word for said in finals(pipeline) for word in said.text.split()))
            assert heard == "w1 w2 w3"
            assert pipeline.dead_letters == []


def a_speech_request(number: int, text: str, turn: int, tenant: str = "default") -> SpeechRequest:
    return SpeechRequest(origin=spoken_by(number, session_id="talk", tenant=tenant), text=text, turn=turn)


def heard_of(pipeline: MemoryPipeline) -> list[tuple[int, str]]:
    return [(chunk.turn, chunk.text) for chunk in pipeline.records(pipeline.topics.speech)]


async def test_an_answer_is_spoken_sentence_by_sentence(clock: FixedClock) -> None:
    async with in_memory(clock, engines=[ScriptedEngine()]) as pipeline:
        await pipeline.put(pipeline.topics.speech_requests, a_speech_request(1, "One. Two. **Three** [1].", 1))
        await pipeline.settle()

        spoken: list[SpeechChunk] = pipeline.records(pipeline.topics.speech)
        assert [(c.sequence, c.text, c.last) for c in spoken] == [
            (0, "One.", False), (1, "Two.", False), (2, "Three.", True),
        ]  # fmt: skip


async def test_no_audio_of_an_old_turn_follows_a_new_one(clock: FixedClock) -> None:
    for seed in range(20):
        async with in_memory(clock, engines=[ScriptedEngine()], seed=seed) as pipeline:
            requests = pipeline.topics.speech_requests
            await pipeline.put(requests, a_speech_request(1, "Old one. Old two. Old three.", 1))
            await pipeline.put(requests, a_speech_request(2, "New one. New two.", 2))
            await pipeline.put(requests, a_speech_request(3, "Late and older.", 1))
            await pipeline.settle()

            turns = [turn for turn, _ in heard_of(pipeline)]
            assert turns == sorted(turns)
            assert [text for turn, text in heard_of(pipeline) if turn == 2] == ["New one.", "New two."]
            assert "Late and older." not in [text for _, text in heard_of(pipeline)]


async def test_no_old_turn_is_spoken_by_a_worker_that_comes_after(clock: FixedClock) -> None:
    """An old request comes again, or late, to a worker that never saw the newer turn."""
    async with in_memory(clock, engines=[ScriptedEngine()]) as pipeline:
        requests = pipeline.topics.speech_requests
        await pipeline.put(requests, a_speech_request(2, "New.", 2))
        await pipeline.settle()
        pipeline.crash(Unit.VOICE)
        await pipeline.put(requests, a_speech_request(1, "Old.", 1))
        await pipeline.put(requests, a_speech_request(3, "Newest.", 3))
        await pipeline.settle()
        pipeline.crash(Unit.VOICE)
        await pipeline.put(requests, a_speech_request(2, "Again.", 2))
        await pipeline.settle()

        assert heard_of(pipeline) == [(2, "New."), (3, "Newest.")]
        assert pipeline.table("turns")["default#talk"].turn == 3


async def test_no_tenant_silences_another_whose_conversation_has_the_same_name(clock: FixedClock) -> None:
    """Neither while it speaks nor after a worker that remembers turns from the table alone."""
    async with in_memory(clock, engines=[ScriptedEngine()]) as pipeline:
        requests = pipeline.topics.speech_requests
        await pipeline.put(requests, a_speech_request(1, "First one. Second one.", 1, tenant="a"))
        await pipeline.put(requests, a_speech_request(2, "Of b.", 2, tenant="b"))
        await pipeline.settle()
        pipeline.crash(Unit.VOICE)
        await pipeline.put(requests, a_speech_request(3, "Again of a.", 1, tenant="a"))
        await pipeline.settle()

        assert sorted(heard_of(pipeline)) == [(1, "Again of a."), (1, "First one."), (1, "Second one."), (2, "Of b.")]
        turns = pipeline.table("turns")
        assert {key: (row.tenant, row.session_id, row.turn) for key, row in turns.items()} == {
            "a#talk": ("a", "talk", 1),
            "b#talk": ("b", "talk", 2),
        }


async def test_clips_of_two_tenants_with_the_same_names_are_heard_apart(clock: FixedClock) -> None:
    async with in_memory(clock) as pipeline:
        of_a = a_clip(1, "Who wrote Frankenstein?", session_id="talk")
        of_b = [
            replace(chunk, origin=replace(chunk.origin, request_id="request-2", tenant="b"))
            for chunk in a_clip(1, "And in which year?", session_id="talk")
        ]
        await say(pipeline, [chunk for pair in zip(of_a, of_b, strict=True) for chunk in pair])
        await pipeline.settle()

        heard = {query.origin.tenant: query.query for query in pipeline.records(pipeline.topics.texts)}
        assert heard == {"default": "Who wrote Frankenstein?", "b": "And in which year?"}


async def test_turns_of_conversations_long_over_are_forgotten(clock: FixedClock) -> None:
    async with in_memory(clock, engines=[ScriptedEngine()]) as pipeline:
        await pipeline.put(pipeline.topics.speech_requests, a_speech_request(1, "Old.", 1))
        await pipeline.settle()
        clock.advance(VOICE.synthesize.turns_s + 1)
        for number in range(3):
            origin = spoken_by(number, session_id=f"new-{number}")
            request = SpeechRequest(origin=replace(origin, event_time=clock.now()), text="New.", turn=1)
            await pipeline.put(pipeline.topics.speech_requests, request)
            await pipeline.settle()

        assert set(pipeline.table("turns")) == {"default#new-0", "default#new-1", "default#new-2"}


async def test_words_of_the_user_silence_the_answer(clock: FixedClock) -> None:
    engine = ScriptedEngine()
    engine.gate = asyncio.Event()
    async with in_memory(clock, engines=[engine]) as pipeline:
        requests = pipeline.topics.speech_requests
        await pipeline.put(requests, a_speech_request(1, "A long answer. With more.", 1))
        await pipeline.put(requests, a_speech_request(2, "", 2))
        await pipeline.settle(2)
        engine.gate.set()
        await pipeline.settle()

        assert heard_of(pipeline) == []


async def test_every_rung_of_the_ladder_is_taken_down_and_up_again(clock: FixedClock) -> None:
    """The first engine fails until its circuit opens, then the second fails too; both come back."""
    first = ScriptedEngine("first", *[SpeechUnavailable("down")] * 2)
    second = ScriptedEngine("second", *[ProviderRefused("no such voice")])
    async with in_memory(clock, engines=[first, second]) as pipeline:
        for turn in range(1, 5):
            await pipeline.put(pipeline.topics.speech_requests, a_speech_request(turn, f"Sentence {turn}.", turn))
            await pipeline.settle()
        clock.advance(VOICE.watch.recovery_s + 1)
        for turn in range(5, 40):
            await pipeline.put(pipeline.topics.speech_requests, a_speech_request(turn, f"Sentence {turn}.", turn))
            await pipeline.settle()

        spoken = pipeline.records(pipeline.topics.speech)
        assert [chunk.engine for chunk in spoken[:4]] == ["text", "second", "second", "second"]
        assert spoken[0].degradations == ("first: speech_unavailable", "second: provider_refused")
        assert spoken[2].degradations == ("first: circuit_open",)
        assert (spoken[0].content, spoken[0].text) == (b"", "Sentence 1.")
        assert len(first.asked) < 40
        assert (spoken[-1].engine, spoken[-1].degradations) == ("first", ())
