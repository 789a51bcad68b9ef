"""How judges compare: pure arithmetic on what they said about the same answers.

Agreement and bias are against the first judge. A score that is no measurement takes part in nothing but its count.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import sqrt
from statistics import fmean, median

from schemas.records import Score, ScoreStatus

FEWEST = 3  # pairs that a correlation is taken of


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One answer as judges see it. A `control` is a question with the answer that was given to another one."""

    question_id: str
    model: str
    words: int
    control: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """What one judge said about every case, in their order, and how long it took."""

    judge: str
    prompt: str
    scores: Sequence[Score]
    took_ms: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One judge. What cannot be said, for want of scores or because it is the reference itself, is None.

    Args:
        statuses: how many answers it scored, and what became of the others; controls are not counted.
        agreement: share of answers on which it and the reference say the same of passed or not.
        kappa: agreement beyond chance (Cohen).
        bias: mean of its scores less that of the reference's.
        rank: rank correlation with the reference (Spearman).
        length_bias: rank correlation of what it gives above the reference with the length of the answer.
        self_preference: how much better it finds its own answers than others', less how much better the other judges find them.
        told_apart: share of controls that it scored below the right answer; ties are half.
    """

    judge: str
    prompt: str
    statuses: Mapping[str, int]
    mean: float | None = None
    agreement: float | None = None
    kappa: float | None = None
    bias: float | None = None
    rank: float | None = None
    length_bias: float | None = None
    self_preference: float | None = None
    told_apart: float | None = None
    median_ms: float | None = None


def compared(cases: Sequence[Case], opinions: Sequence[Opinions], pass_mark: float) -> Sequence[Row]:
    """Return a row for each judge; the first is the reference."""
    return [_row(cases, opinions, one, pass_mark) for one in opinions]


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return the rank correlation, -1 to 1; None of few pairs, or when one side is all the same."""
    if len(pairs) < FEWEST:
        return None
    left, right = (_ranks([pair[side] for pair in pairs]) for side in (0, 1))
    mean = (len(pairs) + 1) / 2
    spread = sqrt(sum((x - mean) ** 2 for x in left) * sum((y - mean) ** 2 for y in right))
    return sum((x - mean) * (y - mean) for x, y in zip(left, right, strict=True)) / spread if spread else None


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Return Cohen's kappa; None when chance alone explains everything."""
    if not pairs:
        return None
    observed = fmean(left == right for left, right in pairs)
    ours, theirs = fmean(left for left, _ in pairs), fmean(right for _, right in pairs)
    chance = ours * theirs + (1 - ours) * (1 - theirs)
    return (observed - chance) / (1 - chance) if chance < 1 else None


def _row(cases: Sequence[Case], opinions: Sequence[Opinions], one: Opinions, pass_mark: float) -> Row:
    reference = opinions[0]
    answers = [at for at, case in enumerate(cases) if not case.control]
    scored = [at for at in answers if _measured(one.scores[at])]
    both = [at for at in scored if one is not reference and _measured(reference.scores[at])]
    pairs = [(one.scores[at].value, reference.scores[at].value) for at in both]
    verdicts = [(ours >= pass_mark, theirs >= pass_mark) for ours, theirs in pairs]
    return Row(
        judge=one.judge,
        prompt=one.prompt,
        statuses={str(status): count for status, count in _statuses(one, answers).items()},
        mean=_mean([one.scores[at].value for at in scored]),
        agreement=_mean([float(ours == theirs) for ours, theirs in verdicts]),
        kappa=kappa(verdicts),
        bias=_mean([ours - theirs for ours, theirs in pairs]),
        rank=spearman(pairs),
        length_bias=spearman(
            [(ours - theirs, cases[at].words) for at, (ours, theirs) in zip(both, pairs, strict=True)]
        ),
        self_preference=_self_preference(cases, opinions, one),
        told_apart=_told_apart(cases, one),
        median_ms=median(one.took_ms) if one.took_ms else None,
    )


def _statuses(one: Opinions, answers: Sequence[int]) -> Mapping[ScoreStatus, int]:
    counted = Counter(one.scores[at].status for at in answers)
    return {status: counted[status] for status in ScoreStatus}


def _self_preference(cases: Sequence[Case], opinions: Sequence[Opinions], one: Opinions) -> float | None:
    own = _lead(cases, one, one.judge)
    others = [lead for other in opinions if other is not one and (lead := _lead(cases, other, one.judge)) is not None]
    return own - fmean(others) if own is not None and others else None


def _lead(cases: Sequence[Case], by: Opinions, model: str) -> float | None:
    """Return how much better a judge finds a model's answers than those of others to the same questions."""
    scored = [
        (case, score.value)
        for case, score in zip(cases, by.scores, strict=True)
        if not case.control and _measured(score)
    ]
    its = {case.question_id: value for case, value in scored if case.model == model}
    leads = [its[case.question_id] - value for case, value in scored if case.model != model and case.question_id in its]
    return _mean(leads)


def _told_apart(cases: Sequence[Case], one: Opinions) -> float | None:
    right: dict[tuple[str, str], float] = {}
    wrong: dict[tuple[str, str], float] = {}
    for case, score in zip(cases, one.scores, strict=True):
        if _measured(score):
            (wrong if case.control else right)[case.question_id, case.model] = score.value
    compared_to = [(right[key], value) for key, value in wrong.items() if key in right]
    return _mean([1.0 if ours > control else 0.5 if ours == control else 0.0 for ours, control in compared_to])


def _measured(score: Score) -> bool:
    return score.status is ScoreStatus.SCORED


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _ranks(values: Sequence[float]) -> Sequence[float]:
    """Return the rank of each value, from 1; equal ones share the mean of theirs."""
    ranks = [0.0] * len(values)
    ordered = sorted(range(len(values)), key=values.__getitem__)
    before = 0
    for _, same in groupby(ordered, key=values.__getitem__):
        places = list(same)
        for place in places:
            ranks[place] = before + (len(places) + 1) / 2
        before += len(places)
    return ranks
