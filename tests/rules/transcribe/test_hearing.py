import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.transcribe.hearing import LiveAudio, Settled, in_bytes, spoken, tail
from schemas.records import Word
from streams.speech import seconds
from tests.fakes.speech import a_hearing


def words(text: str) -> list[Word]:
    return [
        Word(text=word, start_s=0.4 * at, end_s=0.4 * at + 0.4, probability=0.9) for at, word in enumerate(text.split())
    ]


@given(st.lists(st.integers(0, 40_000).map(lambda size: size * 2), max_size=30))
def test_the_buffer_never_holds_more_than_its_seconds_and_counts_what_it_lost(sizes: list[int]) -> None:
    audio = LiveAudio(1.0)
    for size in sizes:
        audio.add(b"\1" * size)

        assert seconds(audio.copy()) <= 1.0
    held_and_lost = seconds(audio.copy()) + audio.dropped_s
    assert held_and_lost == pytest.approx(sum(min(size, in_bytes(1.0)) for size in sizes) / in_bytes(1.0), abs=1e-6)


def test_a_full_buffer_loses_its_older_half() -> None:
    audio = LiveAudio(10.0)
    audio.add(b"\1" * in_bytes(5.0) + b"\2" * in_bytes(5.0))

    audio.add(b"\3" * in_bytes(0.1))

    assert audio.copy() == b"\2" * in_bytes(5.0) + b"\3" * in_bytes(0.1)
    assert (audio.dropped_s, audio.start) == (5.0, in_bytes(5.0))


@pytest.mark.parametrize(
    ("speech", "held_s", "ended", "full", "expected"),
    [
        ((), 0.5, False, False, (0.0, 0.0)),  # nobody yet
        ((), 4.0, False, False, (0.0, 3.7)),  # silence goes, all but the last moment
        ((), 4.0, True, False, (0.0, 4.0)),
        (((1.0, 2.0),), 2.2, False, False, (0.0, 0.0)),  # still speaking
        (((1.0, 2.0),), 2.8, False, False, (2.3, 0.0)),  # a pause
        (((1.0, 2.0),), 2.2, True, False, (2.2, 0.0)),
        (((0.0, 9.0),), 9.0, False, True, (9.0, 0.0)),  # no more room
    ],
)
def test_an_utterance_ends_with_a_pause_with_the_stream_or_with_the_room(
    speech: tuple[tuple[float, float], ...], held_s: float, ended: bool, full: bool, expected: tuple[float, float]
) -> None:
    found = tail(a_hearing(speech=speech), held_s, pause_s=0.6, ended=ended, full=full)

    assert (found.utterance_s, found.silent_s) == pytest.approx(expected)


def test_words_that_two_hypotheses_agree_on_do_not_change_any_more() -> None:
    settled = Settled()
    told = [settled.hear(words(text)) for text in ("I sea", "I see the", "eye see the sea", "I see the sea")]
    told.append(settled.hear(words("I see the sea now"), final=True))

    assert [(spoken(heard), certain) for heard, certain in told] == [
        ("I sea", 0),
        ("I see the", 1),
        ("I see the sea", 3),
        ("I see the sea", 4),
        ("I see the sea now", 5),
    ]
