"""What a request ends with."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from schemas.ids import result_id
from schemas.records import Chunk, Evaluation, Feedback, Result, Source, SpeechRequest, Status
from streams.errors import AnswerRefused, AnswerWithheld, StrictRefused
from streams.speech import turn

NOT_PASSED = "evaluation_not_passed"
_ID_LETTERS = 32


def result(evaluation: Evaluation, at: datetime) -> Result:
    """Return the terminal record: `ok`, `degraded` with what was amiss, or `failed` without the text.

    An answer that did not pass its evaluation is degraded. A degraded answer to a strict request, and one that breaks
    policy, are not shown; `at` is when that was seen.
    """
    answer, decision = evaluation.answer, evaluation.answer.decision
    degradations = _degradations(evaluation)
    refusal = _refusal(evaluation, degradations)
    shown = Status.DEGRADED if degradations else Status.OK
    return Result(
        origin=evaluation.origin,
        result_id=result_id(evaluation.origin.request_id),
        status=shown if refusal is None else Status.FAILED,
        text=answer.text if refusal is None else "",
        errors=() if refusal is None else (refusal.report(at),),
        degradations=degradations,
        sources=tuple(_source(chunk) for chunk in answer.chunks if chunk.kept),
        left_out=tuple(_source(chunk) for chunk in answer.chunks if not chunk.kept),
        scores=evaluation.scores,
        overall=evaluation.overall,
        decision=decision,
        prompt_version=answer.prompt_version,
        pack_version=answer.pack_version,
        evaluator=evaluation.evaluator,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        cost_usd=answer.cost_usd,
        latency_ms=answer.latency_ms,
        maybe_repeated=answer.maybe_repeated,
        risk=answer.request.risk,
        limits=answer.request.limits,
        ttft_ms=answer.ttft_ms,
        tokens_per_s=answer.tokens_per_s,
        reused=answer.reused,
    )


def feedback(evaluation: Evaluation) -> Feedback:
    """Return what DataForge learns, under an id that is the same for every delivery of this judgement."""
    answer = evaluation.answer
    return Feedback(
        origin=evaluation.origin,
        feedback_id=feedback_id(evaluation.origin.request_id, evaluation.evaluator),
        context_pack_id=answer.request.context_pack_id,
        pack_version=answer.pack_version,
        chunk_ids=tuple(chunk.chunk_id for chunk in _kept(evaluation)),
        query=answer.request.query,
        output=answer.text,
        model=answer.decision.model,
        provider=answer.decision.provider,
        cell=answer.decision.cell,
        reward=evaluation.overall,
        passed=evaluation.passed,
        scores=evaluation.scores,
        tokens_used=answer.input_tokens + answer.output_tokens,
        latency_ms=answer.latency_ms,
    )


def feedback_id(request_id: str, evaluator: str) -> str:
    """Return the id of what one judge says of one request: 128 bits of the SHA-256 of both."""
    return hashlib.sha256(f"{evaluator}\0{request_id}".encode()).hexdigest()[:_ID_LETTERS]


def speech_requests(evaluation: Evaluation, ended: Result) -> Sequence[SpeechRequest]:
    """Return the answer to be spoken, when that was asked for and there is one to show."""
    if not evaluation.answer.request.speak or not ended.text:
        return ()
    return (SpeechRequest(origin=evaluation.origin, text=ended.text, turn=turn(evaluation.origin)),)


def _degradations(evaluation: Evaluation) -> tuple[str, ...]:
    known = evaluation.answer.degradations
    return known if evaluation.passed else (*known, NOT_PASSED)


def _refusal(evaluation: Evaluation, degradations: Sequence[str]) -> AnswerRefused | None:
    if any(score.name == "policy_compliance" and score.value == 0.0 for score in evaluation.scores):
        return AnswerWithheld("the answer is empty or gives its instructions away; ask again in other words")
    if evaluation.answer.request.strict and degradations:
        return StrictRefused(f"only a degraded answer could be had ({', '.join(degradations)}); ask without `strict`")
    return None


def _kept(evaluation: Evaluation) -> Sequence[Chunk]:
    return [chunk for chunk in evaluation.answer.chunks if chunk.kept]


def _source(chunk: Chunk) -> Source:
    return Source(
        chunk_id=chunk.chunk_id,
        document_id=chunk.document_id,
        title=chunk.title,
        relevance=chunk.relevance,
        source=chunk.source,
        similarity=chunk.similarity,
        reason=chunk.reason,
    )
