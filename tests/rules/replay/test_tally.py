from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.ids import result_id
from schemas.records import Outcome, ReplayedRequest, Result, Score, Status
from streams.settings import RankSettings, WatchSettings
from tests.given import NOON, a_decision, an_origin
from topology.replay.learned import Learned, Snapshot, verdict_of
from topology.replay.tally import HISTORY_NUMBER, Tally, score_of

CELL = "literary/analysis"


def a_result(
    number: int = 0,
    overall: float | None = 0.5,
    *,
    status: Status = Status.OK,
    model: str = "first",
    policy: float = 1.0,
    text: str = "Because.",
) -> Result:
    origin = an_origin(f"request-{number}")
    return Result(
        origin=origin,
        result_id=result_id(origin.request_id),
        status=status,
        text=text,
        overall=overall,
        scores=(Score(name="policy_compliance", value=policy),),
        decision=a_decision(model) if overall is not None else None,
        evaluator="rules/2",
        input_tokens=50,
        output_tokens=5,
        cost_usd=0.001,
        latency_ms=float(number),
    )


def done(number: int, result: Result, *outcomes: Outcome, query: str = "why?") -> ReplayedRequest:
    return ReplayedRequest(position=number, at=NOON, cell=CELL, query=query, result=result, outcomes=outcomes)


@pytest.fixture
def tally(tmp_path: Path) -> Iterator[Tally]:
    with Tally(tmp_path / "tally") as opened:
        yield opened


@pytest.mark.parametrize(
    ("result", "score"),
    [
        (a_result(overall=0.7), 0.7),
        (a_result(overall=0.4, status=Status.DEGRADED), 0.4),
        (a_result(overall=0.9, status=Status.FAILED, policy=0.0), 0.0),
        (a_result(overall=None, status=Status.EXPIRED), 0.0),
        (a_result(overall=None, status=Status.REJECTED), None),
    ],
)
def test_no_answer_counts_nothing_and_no_request_is_not_counted(result: Result, score: float | None) -> None:
    assert score_of(result) == score


def test_scores_are_compared_request_by_request(tally: Tally) -> None:
    """Five requests: two better, one worse, one equal, one that only one side has a score for."""
    before, after = (0.5, 0.5, 0.5, 0.5, 0.5), (0.7, 0.6, 0.2, 0.5, None)
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        tally.add(1, done(number, a_result(number, one)))
        status = Status.OK if other is not None else Status.REJECTED
        tally.add(2, done(number, a_result(number, other, status=status)))

    compared = tally.compared(1, 2)

    assert (compared.wins, compared.losses, compared.ties, compared.difference.count) == (2, 1, 1, 4)
    assert compared.difference.mean == pytest.approx(0.0)
    assert tally.compared(1, 2, "market/analysis").difference.count == 0
    assert [(pair.request_id, pair.after.score) for pair in tally.regressions(1, 2, 10)] == [("request-2", 0.2)]


def test_a_side_is_summed_up(tally: Tally) -> None:
    for number in range(100):
        tally.add(1, done(number, a_result(number, 0.5)))
    tally.add(1, done(100, a_result(100, None, status=Status.FAILED)))

    assert tally.statuses(1) == {"failed": 1, "ok": 100}
    assert tally.score(1).mean == pytest.approx(50 / 101)
    assert (tally.latency_ms(1, 0.5), tally.latency_ms(1, 0.95)) == (50.0, 95.0)
    assert tally.spent(1)[:2] == (101 * 50, 101 * 5)
    assert tally.spent(2) == (0, 0, 0.0)
    assert tally.latency_ms(2, 0.5) is None


def test_history_counts_once_and_only_what_was_replayed(tally: Tally) -> None:
    tally.add(1, done(0, a_result(0, 0.5)))

    counted = [tally.add_history(a_result(number, 0.9)) for number in (0, 0, 7)]

    assert counted == [True, False, False]
    assert tally.score(HISTORY_NUMBER).count == 1


def test_differences_fall_into_bins_from_one_end_to_the_other(tally: Tally) -> None:
    for number, (one, other) in enumerate([(0.0, 1.0), (1.0, 0.0), (0.5, 0.5)]):
        tally.add(1, done(number, a_result(number, one)))
        tally.add(2, done(number, a_result(number, other)))

    assert tally.histogram(1, 2, 4) == [1, 0, 1, 1]


def test_any_text_is_kept(tally: Tally) -> None:
    tally.add(1, done(0, a_result(0, 0.9, text="x'; DROP TABLE ended; --\0👍🏽")))
    tally.add(2, done(0, a_result(0, 0.1, text="\ud800")))

    (pair,) = tally.regressions(1, 2, 1)

    assert (pair.before.text, pair.after.text) == ("x'; DROP TABLE ended; --\0👍🏽", "?")


def test_a_breach_of_policy_is_a_verdict_of_zero_and_no_answer_is_none() -> None:
    breach = verdict_of(a_result(overall=0.9, policy=0.0, status=Status.FAILED))

    assert breach is not None
    assert breach.score == 0.0
    assert verdict_of(a_result(overall=None, status=Status.REJECTED)) is None


def test_what_is_learned_depends_on_the_order_of_the_range_alone() -> None:
    """Results lead to champions, outcomes to circuits, by the rules of `rank` and `watch`."""
    learned = Learned(RankSettings(min_samples=2), WatchSettings(failure_threshold=2), Snapshot())
    down = [
        Outcome(dependency="second", ok=False, error_code="provider_unavailable", latency_ms=1.0, at=NOON)
        for _ in range(2)
    ]
    requests = [done(n, a_result(n, 0.8, model="first")) for n in range(2)]
    learned.learn([*requests, replace(done(2, a_result(2, 0.9)), outcomes=tuple(down))])

    assert learned.champions[CELL].champion == "first"
    assert learned.circuits["second"].open_until == NOON + timedelta(seconds=WatchSettings().recovery_s)
