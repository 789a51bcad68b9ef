"""How an answer begins to be spoken while it is written."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.synthesize.rules import sentences_to_say
from streams.breaths import begun
from streams.settings import SynthesizeSettings
from tests.any_record import ODD_TEXTS

SETTINGS = SynthesizeSettings(first_chars=40, max_chars=100)
SPOKEN = st.lists(
    st.sampled_from(
        ["An octopus", "has three hearts", ", and", ":", ".", "!", " ", " ", " 3", " 3.", "-", "*", "Dr.", "\n"]
    ),
    max_size=20,
).map("".join)


def begun_of(written: str) -> str:
    return begun(written, first_chars=SETTINGS.first_chars, max_chars=SETTINGS.max_chars)


@pytest.mark.parametrize(
    ("written", "breath"),
    [
        ("The answer is 3", ""),
        ("The answer is 3.", ""),
        ("The answer is 3.5 metres", ""),
        ("The answer is 3. An", "The answer is 3."),
        (" Yes. An", " Yes."),
        ("An octopus has three hearts: two pump", ""),
        ("An octopus has three hearts: two pump blood through", "An octopus has three hearts:"),
        ("1. First", ""),
        ("See `code. An", ""),
        ("... And", ""),
        ("word " * 30 + "end. And", ""),
        ("", ""),
    ],
)
def test_a_breath_is_begun_when_nothing_can_change_it(written: str, breath: str) -> None:
    assert begun_of(written) == breath


@example("An octopus. 3. ", 13)
@example("0?\x1f0", 4)
@given(SPOKEN | st.text(max_size=200) | st.sampled_from(ODD_TEXTS), st.integers(0, 200))
def test_an_answer_begun_early_is_said_as_if_it_had_been_whole(text: str, at: int) -> None:
    """It is one breath, and what goes on after it is the rest: not a word is lost or said twice."""
    early = begun_of(text[:at])

    if early:
        (breath,) = sentences_to_say(early, SETTINGS)
        rest = sentences_to_say(text.removeprefix(early), SETTINGS, begins=1)
        assert text.startswith(early)
        assert sentences_to_say(text, SETTINGS)[0] == breath
        assert " ".join([breath, *rest]).split() == " ".join(sentences_to_say(text, SETTINGS)).split()
