"""The fold of what the tail sees into journeys."""

import random
from dataclasses import replace
from functools import reduce

import pytest

from schemas.records import AudioChunk, Phase, Result, SpeechChunk, Status, Transcript
from tests.rules.demo import samples
from topology.demo.journeys import Step, Story, after
from topology.demo.questions import text_query

FIRST = samples.ASKED[0]


def test_a_journey_names_every_stage_with_the_time_since_the_record_before() -> None:
    story = reduce(after, samples.a_journey(FIRST), Story())

    journey = story.journey(FIRST.request_id)

    assert [step.stage for step in journey.steps] == list(samples.PATH_MS)
    assert [round(step.ms, 3) for step in journey.steps] == list(samples.PATH_MS.values())
    assert journey.total_ms == pytest.approx(sum(samples.PATH_MS.values()))
    assert journey.result is not None
    assert journey.result.status is Status.OK


def test_records_that_arrive_in_any_order_tell_the_same_journeys() -> None:
    """Topics and partitions are read independently of each other."""
    events = samples.a_whole_run()
    shuffled = random.Random(7).sample(events, len(events))

    assert reduce(after, shuffled, Story()).journeys == reduce(after, events, Story()).journeys


def test_a_stage_that_sends_again_after_a_redelivery_keeps_its_first_time() -> None:
    events = samples.a_journey(FIRST)
    again = replace(events[2], sent_at_ms=events[2].sent_at_ms + 5_000)

    story = reduce(after, [*events, again], Story())

    assert story.journey(FIRST.request_id).steps == reduce(after, events, Story()).journey(FIRST.request_id).steps


def test_a_second_result_is_counted_and_does_not_replace_the_first() -> None:
    events = samples.a_journey(FIRST)
    other = samples.seen(replace(samples.a_result(FIRST), text="another"), stage="publish", offset=99)

    journey = reduce(after, [*events, other], Story()).journey(FIRST.request_id)

    assert journey.results == 2
    assert isinstance(journey.result, Result)
    assert journey.result.text != "another"
    assert journey.place == (0, 1)


def test_a_repetition_is_complete_with_the_answer_of_the_first() -> None:
    question = samples.a_journey(FIRST)[0]
    answer = samples.seen(replace(samples.a_result(FIRST), duplicate_of="the first"), stage="repeat", offset=99)

    assert reduce(after, [question, answer], Story()).journey(FIRST.request_id).complete


def test_a_journey_whose_question_was_not_seen_yet_has_no_steps() -> None:
    story = reduce(after, samples.a_journey(FIRST)[1:], Story())

    assert story.journey(FIRST.request_id).steps == ()
    assert story.journey("never seen").steps == ()


def test_a_clock_that_steps_back_between_processes_never_makes_a_negative_time() -> None:
    question = samples.seen(text_query(FIRST, samples.NOW), at_ms=50.0)
    admitted = samples.seen(samples.a_request(FIRST), stage="admit", at_ms=20.0)

    assert reduce(after, [question, admitted], Story()).journey(FIRST.request_id).steps == (
        Step(stage="admit", ms=0.0),
    )


def test_tokens_of_a_higher_epoch_replace_those_of_a_failed_attempt() -> None:
    tokens = [("The ", 0), ("whale", 0), ("An ", 1), ("late", 0), ("octopus", 1)]

    story = reduce(
        after, [samples.seen(samples.a_token(FIRST, content, epoch=epoch)) for content, epoch in tokens], Story()
    )

    assert story.journey(FIRST.request_id).writing == "An octopus"


def test_a_dead_letter_keeps_its_bytes_and_tells_where_it_came_from() -> None:
    story = after(Story(), samples.a_dead_letter(b"\xff\x00"))

    (letter,) = story.dead_letters
    assert (letter.value, letter.topic, letter.partition, letter.stage) == (b"\xff\x00", "texts", "2", "admit")


def test_a_dead_letter_without_headers_is_still_told() -> None:
    story = after(Story(), replace(samples.a_dead_letter(b""), headers={}))

    assert story.dead_letters[0].error_code == "?"


def test_records_that_tell_nothing_of_a_request_change_nothing() -> None:
    assert after(Story(), samples.seen(object())) == Story()


def test_a_spoken_question_begins_with_its_audio_and_ends_with_the_speech() -> None:
    request = samples.a_request(FIRST)
    audio = AudioChunk(origin=request.origin, clip_id="c", sequence=0, last=True, codec="wav", content=b"RIFF")
    heard = Transcript(
        origin=request.origin,
        clip_id="c",
        final=True,
        text="Who?",
        language="en",
        confidence=0.9,
        duration_s=1.0,
        model="m",
    )
    speech = SpeechChunk(
        origin=request.origin,
        sequence=0,
        last=True,
        turn=1,
        text="I.",
        content=b"\x00\x00",
        sample_rate_hz=16_000,
        engine="e",
    )
    told = [
        (audio, "", 0.0), (heard, "transcribe", 200.0), (text_query(FIRST, samples.NOW), "transcribe", 201.0),
        (request, "admit", 203.0), (samples.a_result(FIRST), "publish", 300.0), (speech, "synthesize", 390.0),
        (replace(speech, sequence=1), "synthesize", 500.0),
    ]  # fmt: skip

    events = [samples.seen(record, stage=stage, at_ms=at_ms) for record, stage, at_ms in told]
    journey = reduce(after, events, Story()).journey(FIRST.request_id)

    assert [step.stage for step in journey.steps] == ["transcribe", "admit", "publish", "synthesize"]
    assert journey.total_ms == pytest.approx(390.0)  # to the first audio
    assert (journey.heard, [chunk.sequence for chunk in journey.spoken]) == (heard, [0, 1])


def test_a_circuit_that_says_the_same_again_has_not_turned() -> None:
    open_ = replace(samples.a_circuit(open_until=samples.LATER), since=samples.NOW, phase=Phase.OPEN)
    closed = replace(samples.a_circuit(), since=samples.LATER, phase=Phase.CLOSED)

    story = reduce(after, [samples.seen(state) for state in (open_, open_, closed, closed)], Story())

    assert [state.phase for state in story.transitions] == [Phase.OPEN, Phase.CLOSED]
