"""Text of others on a terminal: everything is shown, nothing is obeyed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.cli.printable import hexdump, one_line, printable, printable_json

OBEYED = {*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200F, 0xFEFF} - {0x09, 0x0A}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("safe\u202egnp.exe", "safe\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("line\r\nline\ttab", "line\\r\nline\ttab"),
        ("ünïcödé 🐙 日本", "ünïcödé 🐙 日本"),
        ("[bold red]\\[/]", "[bold red]\\[/]"),
    ],
)
def test_what_a_terminal_would_obey_is_written_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_at_all_holds_anything_a_terminal_obeys(text: str) -> None:
    assert not {ord(character) for character in printable(text)} & OBEYED
    assert not {ord(character) for character in one_line(text, longest=20)} & (OBEYED | {0x0A})


@given(st.dictionaries(st.text(), st.text()))
def test_json_stays_the_same_value(value: dict[str, str]) -> None:
    text = printable_json(json.dumps(value, ensure_ascii=False))

    assert json.loads(text) == value
    assert not {ord(character) for character in text} & OBEYED


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 1_000_010, longest=10) == "xxxxxxxxxx... (1,000,000 more characters)"
    assert one_line("a  b\n" * 100_000, longest=10) == "a b a b..."
    assert len(one_line("\x1b" * 100, longest=10)) < 50


def test_bytes_are_shown_in_rows_up_to_a_limit() -> None:
    assert hexdump(b"", most=512) == ""
    assert hexdump(b"\x1b[2Jab", most=512) == f"000000  {'1b 5b 32 4a 61 62':<47}  .[2Jab"
    assert len(hexdump(bytes(1_000_000), most=512).splitlines()) == 32
