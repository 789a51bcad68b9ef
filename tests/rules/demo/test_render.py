"""How the demo looks, as text of 100 columns."""

import io
from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from tests.rules.demo import samples
from topology.demo import render, tables
from topology.demo.expect import consequences, endings
from topology.demo.journeys import Journey, Step, Story, after

WIDTH = 100
STORY = reduce(after, samples.a_whole_run(), Story())


def shown(renderable: RenderableType, *, width: int = WIDTH, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding, write_through=True), width=width, color_system=None)
    console.print(renderable)
    return raw.getvalue().decode(encoding)


def panel(number: int) -> str:
    asked = samples.ASKED[number - 1]
    return shown(render.request(asked, STORY.journey(asked.request_id)))


def test_an_answer_shows_its_path_its_sources_and_its_five_scores() -> None:
    text = panel(1)

    assert "admit 1.2 · embed 4.1 · retrieve 8.7 · compose 1.9 · route 640 · evaluate 11 · publish 0.9 ms" in text
    assert "0.86 Moby-Dick" in text
    assert all(name.replace("_", " ") in text for name in samples.NAMES)
    assert "ok · 668 ms" in text


def test_a_rejection_lists_every_problem() -> None:
    text = panel(10)

    assert all(f"problem {number}" in text for number in range(5))
    assert "rejected · 2.0 ms" in text


def test_an_answer_without_sources_says_so_and_why_it_is_degraded() -> None:
    text = panel(9)

    assert "none that is relevant enough" in text
    assert "degraded: no context" in text


def test_a_request_without_a_result_says_so() -> None:
    asked = samples.ASKED[0]

    assert "No terminal result" in shown(render.request(asked, Journey(request_id=asked.request_id)))


@pytest.mark.parametrize("width", [100, 80, 40])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    parts = [render.request(asked, STORY.journey(asked.request_id)) for asked in samples.ASKED]
    parts += [
        tables.summary(samples.ASKED, STORY),
        tables.champions(STORY.rankings, min_samples=2),
        tables.circuits(STORY.circuits),
        tables.dead_letters(STORY.dead_letters),
        render.underway(samples.ASKED, Story()),
    ]

    lines = [line for part in parts for line in shown(part, width=width).splitlines()]

    assert max(map(len, lines)) <= width


def test_a_hostile_answer_cannot_steer_the_terminal_nor_use_markup() -> None:
    asked = samples.ASKED[0]
    hostile = replace(samples.a_result(asked), text="\x1b[2J\x1b]0;title\x07 [bold]loud[/] \u202e \ud800 \r\b")

    text = shown(render.request(asked, Journey(request_id=asked.request_id, result=hostile)))

    assert "[bold]loud[/]" in text
    assert not set("\x1b\x07\r\b\u202e") & set(text)


def test_bars_are_drawn_in_plain_characters_where_the_terminal_has_no_others() -> None:
    text = shown(render.StageBar([Step(stage="admit", ms=1), Step(stage="route", ms=1)]), width=10, encoding="ascii")

    assert text.strip() == "=====-----"


def test_the_leader_of_a_cell_is_marked() -> None:
    lines = shown(tables.champions(STORY.rankings, min_samples=2)).splitlines()

    assert [line for line in lines if "★" in line and "smollm2" in line]
    assert [line for line in lines if "★" not in line and "extractive" in line]


def test_an_open_circuit_is_told_with_its_last_error() -> None:
    state = replace(samples.a_circuit(open_until=samples.LATER), failures=5, last_error_code="provider_unavailable")

    text = shown(tables.circuits({"llamacpp": state}))

    assert "open" in text
    assert "provider_unavailable" in text


def test_a_dead_letter_shows_its_place_and_its_first_bytes() -> None:
    text = shown(tables.dead_letters(STORY.dead_letters))

    assert "texts-2@7" in text
    assert "undecodable" in text
    assert "this topic carries Avro" in text


def test_feedback_says_where_it_went() -> None:
    text = shown(tables.feedback(STORY, topic="feedback", dataforge_url="http://localhost:1"))

    assert "on topic `feedback`, delivered to the demo's DataForge at http://localhost:1" in text


def test_a_refused_attack_shows_its_reason_and_its_risk() -> None:
    asked = samples.ASKED[-1]
    refused = replace(samples.a_result(asked), errors=(samples.an_attack(),), risk=0.93)

    text = shown(render.request(asked, Journey(request_id=asked.request_id, result=refused)))

    assert "the text looks like an attempt" in text
    assert "risk" in text
    assert "0.93" in text


def test_an_unmet_expectation_is_counted_and_explained() -> None:
    text = shown(tables.verdict([*endings(Story(), samples.ASKED), *consequences(Story())]))

    assert "expectations were not met" in text
    assert "no result within its deadline" in text


@given(st.lists(st.floats(min_value=0, max_value=1e9), max_size=12), st.integers(min_value=0, max_value=200))
def test_shares_fill_the_width_and_forget_no_stage_while_there_is_room(parts: list[float], width: int) -> None:
    cells = render.shares(parts, width)

    assert sum(cells) <= max(width, 0)
    if parts and len(parts) <= width:
        assert len(cells) == len(parts)
        assert min(cells) >= 1
        assert sum(cells) == (width if sum(parts) else len(parts))


@given(st.text())
def test_printable_text_has_no_control_characters_and_keeps_its_length(text: str) -> None:
    safe = render.printable(text)

    assert len(safe) == len(text)
    assert safe.replace("\n", "").isprintable() or all(ord(c) > 127 for c in safe if not c.isprintable() and c != "\n")
