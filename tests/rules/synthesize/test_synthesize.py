import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.synthesize import rules
from streams.settings import SynthesizeSettings
from tests.any_record import ODD_TEXTS

SHORT = SynthesizeSettings(max_chars=100)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("# Title\n- **Whales** are `large` [1, 2].", ["Title", "Whales are large."]),
        ("See [the book](https://example.org/a_b) or https://example.org.", ["See the book or"]),
        ("Before. ```python\nprint(1)\n``` After.", ["Before.", "After."]),
        ("", []),
        ("...  !!! ---", []),
        ("Lone \ud800 surrogate and zero\u200bwidth.", ["Lone surrogate and zerowidth."]),
        ("مرحبا بالعالم.", ["مرحبا بالعالم."]),
    ],
)
def test_what_is_said_has_no_markup(text: str, said: list[str]) -> None:
    assert rules.sentences_to_say(text, SynthesizeSettings()) == said


def test_a_long_sentence_is_cut_after_a_comma_or_between_words() -> None:
    said = rules.sentences_to_say("word " * 30 + "word, " + "word " * 30 + "end", SHORT)

    assert all(len(part) <= 100 for part in said)
    assert " ".join(said).split() == ("word " * 30 + "word, " + "word " * 30 + "end").split()
    assert rules.sentences_to_say("x" * 250, SHORT) == ["x" * 100, "x" * 100, "x" * 50]


@given(st.text(max_size=300) | st.sampled_from(ODD_TEXTS), st.integers(20, 100))
def test_any_text_is_cut_within_bounds(text: str, longest: int) -> None:
    settings = SynthesizeSettings(max_chars=longest)

    assert all(0 < len(part) <= longest for part in rules.sentences_to_say(text, settings))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "An octopus has three hearts: two pump blood through the gills, and one pumps it further. It is blue: very blue, so blue.",
            [
                "An octopus has three hearts:",
                "two pump blood through the gills, and one pumps it further.",
                "It is blue: very blue, so blue.",
            ],
        ),
        ("Yes, it has three hearts.", ["Yes, it has three hearts."]),
        ("No, " + "it has hearts " * 6 + "in it.", ["No, " + "it has hearts " * 6 + "in it."]),
        ("An octopus has three hearts, " + "- " * 40, ["An octopus has three hearts,"]),
    ],
)
def test_a_long_first_sentence_begins_with_what_comes_before_its_pause(text: str, said: list[str]) -> None:
    assert rules.sentences_to_say(text, SynthesizeSettings(first_chars=40)) == said
    assert " ".join(rules.sentences_to_say(text, SynthesizeSettings(first_chars=0))).split() == text.split()
