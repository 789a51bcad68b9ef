"""The arithmetic by which judges are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Score, ScoreStatus
from tests.given import a_chunk, a_decision, a_request, an_answer
from topology.calibration import words
from topology.calibration.comparison import Case, Opinions, compared, kappa, spearman
from topology.calibration.judging import with_controls

A, B = "model-a", "model-b"
CASES = [
    Case(question_id=f"q{number}", model=model, words=10 * (number + 1), control=False)
    for number in range(4)
    for model in (A, B)
]


def said(judge: str, *values: float | ScoreStatus) -> Opinions:
    scores = [
        Score(name="judge", value=0.0, status=value)
        if isinstance(value, ScoreStatus)
        else Score(name="judge", value=value)
        for value in values
    ]
    return Opinions(judge=judge, prompt="grade/1", scores=scores, took_ms=[5.0] * len(scores))


RULES = said("rules", 0.9, 0.3, 0.8, 0.2, 0.7, 0.6, 0.4, 0.1)


def test_a_judge_that_says_the_same_agrees_without_bias() -> None:
    _, row = compared(CASES, [RULES, said("twin", *(score.value for score in RULES.scores))], 0.5)

    assert (row.agreement, row.kappa, row.bias) == (1.0, 1.0, 0.0)
    assert row.rank == pytest.approx(1.0)
    assert row.length_bias is None  # it never differs from the reference


def test_a_judge_that_says_the_opposite_is_known_by_it() -> None:
    _, row = compared(CASES, [RULES, said("contrary", *(1.0 - score.value for score in RULES.scores))], 0.5)

    assert row.agreement == 0.0
    assert row.rank == pytest.approx(-1.0)
    assert row.kappa is not None
    assert row.kappa < 0.0


def test_a_generous_judge_has_a_bias_and_a_wordy_one_a_length_bias() -> None:
    _, row = compared(CASES, [RULES, said("wordy", *(min(1.0, case.words / 40) for case in CASES))], 0.5)

    assert row.bias == pytest.approx(0.625 - 0.5)
    assert row.length_bias is not None
    assert row.length_bias > 0.5


def test_a_model_that_finds_its_own_answers_better_than_others_do_prefers_itself() -> None:
    own = said(A, *(1.0 if case.model == A else 0.0 for case in CASES))
    fair = said("fair", *(0.5 for _ in CASES))

    rows = {row.judge: row for row in compared(CASES, [fair, own], 0.5)}

    assert rows[A].self_preference == pytest.approx(1.0)
    assert rows["fair"].self_preference is None  # it answers nothing


def test_what_is_no_measurement_is_counted_and_takes_part_in_nothing() -> None:
    values: list[float | ScoreStatus] = [score.value for score in RULES.scores]
    values[0], values[1] = ScoreStatus.TIMEOUT, ScoreStatus.PARSE_ERROR

    _, row = compared(CASES, [RULES, said("shaky", *values)], 0.5)

    assert row.statuses == {"scored": 6, "skipped": 0, "timeout": 1, "parse_error": 1}
    assert (row.agreement, row.bias) == (1.0, 0.0)
    assert "1 timeout, 1 parse error" in words.cells([row])[0]


def test_a_judge_without_any_score_has_a_row_of_dashes() -> None:
    _, row = compared(CASES, [RULES, said("mute", *(ScoreStatus.PARSE_ERROR for _ in CASES))], 0.5)

    assert words.cells([row])[0][3:11] == ["-"] * 8


def test_the_right_answer_is_told_from_that_to_another_question() -> None:
    answers = [
        an_answer(f"Answer {number}.", a_chunk(), request=a_request(f"Question {number}?"), decision=a_decision(A))
        for number in range(3)
    ]
    cases, judged = with_controls(answers)
    assert [case.control for case in cases] == [False] * 3 + [True] * 3
    assert all(one.text != f"Answer {number}." for number, one in enumerate(judged[3:]))

    scores = [0.9, 0.9, 0.5, 0.1, 0.9, 0.8]  # better, equal, worse
    (row,) = compared(cases, [said("judge", *scores)], 0.5)

    assert row.told_apart == pytest.approx(0.5)
    assert row.statuses["scored"] == 3


def test_ties_share_their_rank() -> None:
    assert spearman([(1, 1), (1, 1), (2, 3), (3, 3)]) == pytest.approx(spearman([(5, 2), (5, 2), (6, 4), (7, 4)]))
    assert spearman([(1, 5), (2, 5), (3, 5)]) is None
    assert spearman([(1, 2), (2, 1)]) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1))))
def test_correlation_and_kappa_stay_within_their_bounds(pairs: list[tuple[float, float]]) -> None:
    rank, beyond_chance = spearman(pairs), kappa([(left >= 0.5, right >= 0.5) for left, right in pairs])

    assert rank is None or -1.0 - 1e-9 <= rank <= 1.0 + 1e-9
    assert beyond_chance is None or -1.0 - 1e-9 <= beyond_chance <= 1.0 + 1e-9
