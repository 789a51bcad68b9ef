"""What a request ends with."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from schemas.ids import result_id
from schemas.records import Chunk, Evaluation, Feedback, Proposal, Result, Source, SpeechRequest, Status
from streams.degradations import TRANSCRIPT_DOUBTFUL
from streams.errors import AnswerRefused, AnswerWithheld, StrictRefused
from streams.feedback import NOT_PASSED, judged
from streams.speech import turn


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
        judge=evaluation.judge,
        judge_prompt=evaluation.judge_prompt,
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
        query=answer.request.query,
        context_pack_id=answer.request.context_pack_id,
        confidence=answer.request.confidence,
    )


def feedback(evaluation: Evaluation, ended: Result) -> Feedback:
    """Return what DataForge learns; it learns of an answer that is not shown, too."""
    answer = evaluation.answer
    return replace(judged(ended, answer.decision), output=answer.text, passed=evaluation.passed)


def proposals(evaluation: Evaluation, ended: Result) -> Sequence[Proposal]:
    """Return an answer as something Sophia may consider: one that is good as it is and rests on passages.

    It is as sure as its evaluation is. In a replay nothing is proposed, and an answer given again was proposed before.
    """
    said_before = ended.reused is not None or ended.origin.replay_id is not None
    if said_before or ended.status is not Status.OK or not ended.sources:
        return ()
    decision = evaluation.answer.decision
    known = {
        "query": ended.query,
        "cell": decision.cell,
        "result_id": ended.result_id,
        "prompt_version": ended.prompt_version,
        "evaluator": ended.evaluator,
        "context_pack_id": ended.context_pack_id,
        "pack_version": ended.pack_version,
        "chunk_ids": ", ".join(source.chunk_id for source in ended.sources),
    }
    proposal = Proposal(
        origin=ended.origin,
        proposal_id=f"answer:{ended.origin.request_id}",
        raw_text=ended.text,
        confidence=evaluation.overall,
        model=decision.model,
        provider=decision.provider,
        metadata={name: value for name, value in known.items() if value},
        source="answer",
    )
    return (proposal,)


def speech_requests(evaluation: Evaluation, ended: Result) -> Sequence[SpeechRequest]:
    """Return what is still to be spoken of an answer, when that was asked for and there is one to show.

    Where another model than the one that was heard has answered, that is all of it. What was begun is ended, also without words.
    """
    begun = evaluation.answer.begun
    if not evaluation.answer.request.speak or not (ended.text or begun):
        return ()
    rest = ended.text.removeprefix(begun)
    return (SpeechRequest(origin=evaluation.origin, text=rest, turn=turn(evaluation.origin), begins=1 if begun else 0),)


def _degradations(evaluation: Evaluation) -> tuple[str, ...]:
    answer = evaluation.answer
    known = (TRANSCRIPT_DOUBTFUL, *answer.degradations) if answer.request.doubtful else answer.degradations
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
