"""The judgement on an answer: five scores, one number, pass or fail."""

from collections.abc import Mapping, Sequence

from agents.evaluate.judged import Judged, blind, grounded
from agents.evaluate.judgement import NAME as JUDGE
from agents.evaluate.judgement import Judgement
from agents.evaluate.scores import coherence, context_overlap, correctness, policy_compliance, relevance
from schemas.records import Answer, Evaluation, Score, ScoreStatus, Verdict
from streams.settings import EvaluateSettings

EVALUATOR = "rules/2"  # formulas and weights; a change of either is a new version
# Half is correctness: an answer that no passage supports stays below a pass mark of 0.5 whatever else is right.
WEIGHTS: Mapping[str, float] = {
    "relevance": 0.2,
    "correctness": 0.5,
    "coherence": 0.1,
    "policy_compliance": 0.1,
    "context_overlap": 0.1,
}


def evaluation(answer: Answer, settings: EvaluateSettings, judgement: Judgement | None = None) -> Evaluation:
    """Return the answer with its scores, that of a judge last when there is one."""
    judged = Judged.of(answer)
    scores = (
        _score("relevance", relevance(judged)),
        _score("correctness", correctness(judged)),
        _score("coherence", coherence(judged)),
        _score("policy_compliance", policy_compliance(judged)),
        _score("context_overlap", context_overlap(judged)),
    )
    mean = overall(scores)
    if judgement is not None and judgement.score.status is ScoreStatus.SCORED:
        mean += settings.judge_weight * (judgement.score.value - mean)
    return Evaluation(
        origin=answer.origin,
        answer=answer,
        scores=scores if judgement is None else (*scores, judgement.score),
        overall=mean,
        passed=mean >= settings.pass_mark and policy_compliance(judged) == 1.0,
        evaluator=EVALUATOR,
        judge=judgement.judge if judgement else None,
        judge_prompt=judgement.prompt if judgement else None,
    )


def overall(scores: Sequence[Score]) -> float:
    """Return the weighted mean of the scores that are measurements, 0 to 1; 0 when none is."""
    scored = [(WEIGHTS[score.name], score.value) for score in scores if score.status is ScoreStatus.SCORED]
    total = sum(weight for weight, _ in scored)
    return min(1.0, sum(weight * value for weight, value in scored) / total) if total else 0.0


def tells_of_the_model(answer: Answer) -> bool:
    """Whether champions learn from an answer.

    Not when it was given again, since it was judged when it was given first; nor when it should rest on passages and nobody could
    look for any: all models are alike then, and the one that was asked in bad hours would seem better or worse than it is.
    """
    return answer.reused is None and not (grounded(answer) and blind(answer))


def verdict(evaluation: Evaluation) -> Verdict:
    """Return what the champions learn. A breach of policy counts as zero, however good the rest is.

    The id says nothing of the judge: an answer judged again after a kill counts once, also when the judge fails this time.
    """
    answer = evaluation.answer
    by_judge = any(score.name == JUDGE and score.status is ScoreStatus.SCORED for score in evaluation.scores)
    breach = any(score.name == "policy_compliance" and score.value == 0.0 for score in evaluation.scores)
    return Verdict(
        verdict_id=f"{evaluation.origin.request_id}/{evaluation.evaluator}",
        cell=answer.decision.cell,
        model=answer.decision.model,
        score=0.0 if breach else evaluation.overall,
        latency_ms=answer.latency_ms,
        cost_usd=answer.cost_usd,
        at=evaluation.origin.event_time,
        judge=evaluation.judge if by_judge else None,
        judge_prompt=evaluation.judge_prompt if by_judge else None,
    )


def _score(name: str, value: float | None) -> Score:
    if value is None:
        return Score(name=name, value=0.0, status=ScoreStatus.SKIPPED)
    return Score(name=name, value=min(1.0, max(0.0, value)))
