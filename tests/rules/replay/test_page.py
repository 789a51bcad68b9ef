"""The report as a page: complete by itself, and safe whatever a model has said."""

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from schemas.records import Replay
from tests.given import NOON
from topology.replay import words
from topology.replay.intervals import Mean, mean_of
from topology.replay.page import page
from topology.replay.report import BINS, CellScore, Champion, Comparison, Contest, Report, Side
from topology.replay.tally import Answered, Compared, Pair

HOSTILE = "</p></div><script src=https://evil.example/x.js></script><img src=x onerror=alert(1)>&\"'"


def a_mean(mean: float, width: float | None = 0.01) -> Mean:
    bounds = (None, None) if width is None else (mean - width, mean + width)
    return Mean(count=100, mean=mean, low=bounds[0], high=bounds[1])


def a_side(name: str) -> Side:
    return Side(
        name=name,
        requests=100,
        statuses={"ok": 90, "failed": 10},
        score=a_mean(0.5),
        latency_p50_ms=10.0,
        latency_p95_ms=90.0,
        input_tokens=1,
        output_tokens=2,
        cost_usd=0.5,
    )


def a_comparison(difference: Mean, cell: str = "all") -> Comparison:
    return Comparison(
        before="first", after="second", cell=cell, compared=Compared(difference=difference, wins=10, losses=80, ties=10)
    )


def a_report(text: str = "Because.", *, empty: bool = False) -> Report:
    answer = Answered(model=text, status="ok", score=0.9, text=text)
    pair = Pair(request_id=text, cell="literary/analysis", query=text, before=answer, after=answer)
    replay = Replay(
        name="one",
        digest="d",
        topic="texts",
        start=NOON,
        end=NOON + timedelta(hours=1),
        variants=("first", "second"),
        seed="empty",
        answers="reuse",
        requests=100,
        started_at=NOON,
    )
    if empty:
        return Report(
            replay=replay, done=(0, 0), notes=(), sides=(), cells=(), comparisons=(), contests=(), champions=()
        )
    return Report(
        replay=replay,
        done=(100, 100),
        notes=(text,),
        sides=(a_side("first"), a_side(text)),
        cells=(CellScore(cell="literary/analysis", side=text, models={text: 100}, score=a_mean(0.5)),),
        comparisons=(a_comparison(a_mean(-0.2)), a_comparison(a_mean(0.1, None), "market/analysis")),
        contests=(Contest(before="first", after=text, histogram=[1] * BINS, regressions=(pair,)),),
        champions=(Champion(cell="literary/analysis", at_start="-", live=text, variants={text: text}, contest=text),),
    )


class Elements(HTMLParser):
    """Notes every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "report", [a_report(HOSTILE), a_report(), a_report(empty=True)], ids=["hostile", "usual", "empty"]
)
def test_the_page_loads_nothing_and_runs_nothing(report: Report) -> None:
    elements = Elements(page(report)).found

    assert {"script", "img", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in elements)
    assert not [
        name for _, attributes in elements for name in attributes if name.startswith("on") or name in {"src", "href"}
    ]
    assert "default-src 'none'" in page(report)


def test_the_page_shows_both_answers_of_a_regression_and_every_plot() -> None:
    shown = page(a_report("Mary Shelley wrote it."))
    tags = [tag for tag, _ in Elements(shown).found]

    assert shown.count("Mary Shelley wrote it.</p>") >= 2
    assert tags.count("svg") == 6
    assert tags.count("circle") == 2 + 1 + 2


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (a_mean(-0.2), "second is worse than first"),
        (a_mean(0.2), "second is better than first"),
        (a_mean(0.005, 0.01), "second is not distinguishable from first"),
        (a_mean(-0.001, 0.0001), "second is as good as first"),
        (a_mean(0.2, None), "too few to tell"),
        (mean_of(0, 0.0, 0.0), "no request in common"),
    ],
)
def test_a_comparison_says_no_more_than_it_shows(difference: Mean, said: str) -> None:
    assert said in words.verdict(a_comparison(difference))
