"""The three ways to show a run."""

import io
import json
from functools import reduce

import pytest
from rich.console import Console
from rich.text import Text

from streams.settings import Settings
from tests.rules.demo import samples
from topology.demo.expect import consequences
from topology.demo.journeys import Story, after
from topology.demo.screen import JsonScreen, RichScreen, Screen

STORY = reduce(after, samples.a_whole_run(), Story())


def play(screen: Screen) -> None:
    """Show a whole run."""
    with screen:
        screen.doing("starting Kafka")
        screen.done("Kafka is ready", {"bootstrap": "127.0.0.1:9092", "seconds": 2.0})
        screen.progress("loading the library", 3, 48)
        screen.progress("fetching Kafka", 3_000_000, 43_000_000)
        screen.watching(samples.ASKED, Story())
        for asked in samples.ASKED:
            screen.ended(asked, STORY.journey(asked.request_id))
        screen.act("contest", "Two models compete", "one against the other")
        screen.moving(Text("round 1"))
        screen.show(Text("round 2"), "contest", {"rounds": 2})
        screen.judged(samples.ASKED, STORY, consequences(STORY), Settings())


@pytest.fixture(scope="module")
def lines() -> list[dict[str, object]]:
    raw = io.BytesIO()
    play(JsonScreen(raw))
    return [json.loads(line) for line in raw.getvalue().splitlines()]


def test_every_json_line_says_what_it_is_about(lines: list[dict[str, object]]) -> None:
    events = [line["event"] for line in lines]

    assert events[0] == "done"
    assert events.count("request") == len(samples.ASKED)
    assert {"act", "contest", "champions", "circuit", "dead_letter", "feedback", "check"} <= set(events)
    assert lines[-1] == {"event": "verdict", "met": True, "questions": len(samples.ASKED)}


def test_a_json_request_carries_its_stages_and_its_whole_result(lines: list[dict[str, object]]) -> None:
    first = next(line for line in lines if line["event"] == "request")

    stages, result = first["stages"], first["result"]
    assert isinstance(stages, list)
    assert [stage["stage"] for stage in stages] == list(samples.PATH_MS)
    assert isinstance(result, dict)
    assert result["status"] == "ok"
    assert result["origin"]["event_time"] == "2026-11-21T12:00:00Z"


def test_a_json_dead_letter_carries_its_bytes(lines: list[dict[str, object]]) -> None:
    (letter,) = [line for line in lines if line["event"] == "dead_letter"]

    assert b"this topic carries Avro" in bytes.fromhex(str(letter["value_hex"]))


def test_plain_output_has_no_escape_sequences_and_repeats_nothing() -> None:
    """A file or a pipe gets each finished thing once, and nothing that is redrawn."""
    out = io.StringIO()

    play(RichScreen(Console(file=out, width=100)))

    text = out.getvalue()
    assert "\x1b" not in text
    assert "on the way" not in text
    assert "round 1" not in text
    assert text.count("round 2") == 1
    assert text.count("✓ Kafka is ready") == 1
    assert text.count("loading the library") == 1
    assert "Everything happened as it should" in text


def test_a_terminal_shows_what_is_under_way_and_keeps_what_is_finished() -> None:
    out = io.StringIO()

    play(RichScreen(Console(file=out, width=100, force_terminal=True, color_system="truecolor")))

    text = out.getvalue()
    assert "on the way" in text
    assert text.endswith("\x1b[?25h") or "\x1b[?25h" in text  # the cursor is back
