from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.transcribe import rules
from agents.transcribe.curve import CURVES
from schemas.records import Status
from streams.errors import AudioInvalid
from streams.settings import TranscribeSettings
from streams.speech import Segment
from tests.fakes.speech import a_hearing, a_segment
from tests.pipeline.voices import a_clip

SETTINGS = TranscribeSettings(doubtful_below=0.6, refuse_below=0.4)
(CHUNK,) = a_clip(1, chunks=1)


def test_audio_of_unusable_ids_is_refused_with_every_problem() -> None:
    wrong = replace(CHUNK, clip_id="c" * 129, origin=replace(CHUNK.origin, tenant="a#b", user_id="\x00" * 100_000))

    with pytest.raises(AudioInvalid) as raised:
        rules.check(wrong)

    assert [problem.split(" ", 1)[0] for problem in raised.value.problems] == ["tenant", "user_id", "clip_id"]


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        (a_segment("The end of the world.", no_speech=0.9, avg_logprob=-1.2), "no_speech"),
        (a_segment("[Music]", no_speech=0.5), "phantom"),
        (a_segment("Thank you.", avg_logprob=-0.9), "phantom"),
        (a_segment("♪ ♪ ..."), "no_words"),
        (a_segment("no " * 60, end_s=2.0, compression=20.0), "repetition"),
    ],
)
def test_what_a_model_writes_where_nobody_speaks_is_left_out(segment: Segment, reason: str) -> None:
    told = rules.believed(a_hearing(segment, a_segment("Real words.")))

    assert (told.text, told.discarded) == ("Real words.", (reason,))


@pytest.mark.parametrize(
    "segment", [a_segment("Thank you.", avg_logprob=-0.1), a_segment("Yes, no, no, no."), a_segment("Well well well.")]
)
def test_what_people_really_say_is_believed(segment: Segment) -> None:
    told = rules.believed(a_hearing(segment))

    assert (told.text, told.discarded) == (segment.text, ())


@pytest.mark.parametrize(
    ("text", "straight"),
    [
        ("Go on and on and on and on and on and on.", "Go on and on."),
        ("I see. I see. I see. I see. I see.", "I see."),
        ("a b c d " * 9, "a b c d"),
    ],
)
def test_a_loop_is_said_once(text: str, straight: str) -> None:
    told = rules.believed(a_hearing(a_segment(text, end_s=60.0)))

    assert (told.text.split()[:2], len(told.text.split())) == (straight.split()[:2], len(straight.split()))
    assert told.discarded == ("repetition",)


def test_a_loop_where_nobody_seems_to_speak_is_not_said_at_all() -> None:
    told = rules.believed(a_hearing(a_segment("I'm so I'm so I'm so I'm so I'm so", no_speech=0.8, avg_logprob=-0.2)))

    assert (told.text, told.discarded) == ("", ("repetition",))


def test_confidence_is_the_mean_probability_of_the_tokens() -> None:
    sure, unsure = a_segment(tokens=30, avg_logprob=-0.1), a_segment(tokens=10, avg_logprob=-0.9)

    assert rules.confidence([sure, unsure]) == pytest.approx(0.7408, abs=1e-3)  # exp(-0.3)
    assert rules.confidence([]) == 0.0


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([*CURVES, "another model"]))
def test_calibration_keeps_the_order_and_the_range(one: float, other: float, model: str) -> None:
    low, high = sorted([one, other])

    assert 0.0 <= rules.calibrated(low, model) <= rules.calibrated(high, model) <= 1.0


def test_a_transcript_has_the_calibrated_confidence_of_its_model() -> None:
    """A model without a curve of its own is taken at its word."""
    heard = a_hearing(a_segment(avg_logprob=-0.6))
    raw = rules.confidence(heard.segments)

    def sure(model: str) -> float:
        hearing = replace(heard, model=model)
        return rules.transcript(CHUNK, hearing, rules.believed(hearing), SETTINGS, duration_s=2.0).confidence

    assert sure("another model") == raw
    for model in CURVES:
        assert sure(model) == rules.calibrated(raw, model) != raw


@pytest.mark.parametrize(("logprob", "refused", "doubtful"), [(-0.05, False, False), (-2.5, True, True)])
def test_a_doubtful_transcript_is_marked_and_may_be_refused(logprob: float, refused: bool, doubtful: bool) -> None:
    heard = a_hearing(a_segment(avg_logprob=logprob))
    said = rules.transcript(CHUNK, heard, rules.believed(heard), SETTINGS, duration_s=2.0)

    refusal = rules.refusal(said, SETTINGS)

    assert (refusal is not None, said.doubtful) == (refused, doubtful)
    assert rules.result(replace(said, doubtful=True)).status is Status.DEGRADED


def test_an_utterance_is_a_request_of_its_own_in_the_conversation() -> None:
    first = rules.utterance_origin(CHUNK.origin, 7)
    again = rules.utterance_origin(CHUNK.origin, 7, 1)

    assert (first.request_id, again.request_id) == ("request-1.7", "request-1.7-1")
    assert first.session_id == "request-1"
