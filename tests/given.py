"""Records to begin a test with; each says only what the test is about."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from schemas.ids import result_id
from schemas.records import (
    Answer,
    Chunk,
    Context,
    Domain,
    Embedding,
    Evaluation,
    Feedback,
    Origin,
    Prompt,
    Rating,
    Request,
    Result,
    RouteDecision,
    Score,
    Source,
    Status,
    Strategy,
    Task,
    TextQuery,
    Verdict,
)
from streams.feedback import judged

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
QUESTION = "Who wrote Frankenstein?"
PASSAGE = "Mary Shelley wrote Frankenstein. She began it in 1816."


def an_origin(request_id: str = "request-1", *, session_id: str | None = None, tenant: str = "default") -> Origin:
    return Origin(
        request_id=request_id,
        correlation_id=request_id,
        session_id=session_id,
        tenant=tenant,
        source_service="tests",
        event_time=NOON,
        deadline=NOON + timedelta(seconds=60),
    )


def a_text_query(query: str = QUESTION, *, origin: Origin | None = None) -> TextQuery:
    return TextQuery(origin=origin or an_origin(), query=query)


def a_request(
    query: str = QUESTION,
    *,
    origin: Origin | None = None,
    domain: Domain = Domain.LITERARY,
    task: Task = Task.ANALYSIS,
    strategy: Strategy | None = None,
    model: str | None = None,
    max_tokens: int = 100,
    strict: bool = False,
    speak: bool = False,
    context_pack_id: str | None = None,
) -> Request:
    return Request(
        origin=origin or an_origin(),
        query=query,
        domain=domain,
        task=task,
        strategy=strategy,
        model=model,
        temperature=0.0,
        max_tokens=max_tokens,
        strict=strict,
        speak=speak,
        context_pack_id=context_pack_id,
    )


def an_embedding(request: Request | None = None) -> Embedding:
    request = request or a_request()
    return Embedding(origin=request.origin, request=request, embedding_id="e1", model="hashing", vector=(1.0, 0.0))


def a_chunk(
    text: str = PASSAGE,
    *,
    chunk_id: str = "frankenstein#0",
    title: str = "Frankenstein",
    relevance: float = 0.8,
    kept: bool = True,
) -> Chunk:
    return Chunk(
        chunk_id=chunk_id,
        document_id=chunk_id.partition("#")[0],
        title=title,
        text=text,
        source="vector_store",
        similarity=relevance,
        relevance=relevance,
        kept=kept,
        reason="relevant" if kept else "below_min_relevance",
    )


def a_context(
    *chunks: Chunk, request: Request | None = None, degradations: Sequence[str] = (), pack_version: str | None = None
) -> Context:
    request = request or a_request()
    return Context(
        origin=request.origin,
        request=request,
        chunks=chunks,
        degradations=tuple(degradations),
        pack_version=pack_version,
    )


def a_prompt(
    *chunks: Chunk, request: Request | None = None, tokens: int = 50, degradations: Sequence[str] = ()
) -> Prompt:
    request = request or a_request()
    return Prompt(
        origin=request.origin,
        request=request,
        chunks=chunks,
        system="Answer from the passages.",
        user=request.query,
        prompt_version="literary/1",
        tokens=tokens,
        tokenizer="letters",
        canary="ember-0123456789ab",
        degradations=tuple(degradations),
        mark="0f1e2d",
    )


def a_decision(model: str = "first", *, cell: str = "literary/analysis") -> RouteDecision:
    return RouteDecision(
        strategy=Strategy.DOMAIN_OPTIMIZED,
        cell=cell,
        model=model,
        provider=f"{model}-provider",
        reasons=("first in the settings",),
        rejected={},
        chain=(model,),
    )


def an_answer(
    text: str = "Mary Shelley wrote Frankenstein.",
    *chunks: Chunk,
    request: Request | None = None,
    decision: RouteDecision | None = None,
    degradations: Sequence[str] = (),
    finish_reason: str = "stop",
) -> Answer:
    request = request or a_request()
    return Answer(
        origin=request.origin,
        request=request,
        chunks=chunks,
        text=text,
        decision=decision or a_decision(),
        finish_reason=finish_reason,
        input_tokens=50,
        output_tokens=6,
        cost_usd=0.25,
        latency_ms=120.0,
        ttft_ms=20.0,
        prompt_version="literary/1",
        canary="ember-0123456789ab",
        degradations=tuple(degradations),
    )


def an_evaluation(
    answer: Answer | None = None, *, overall: float = 0.9, passed: bool = True, policy: float = 1.0
) -> Evaluation:
    answer = answer or an_answer("Mary Shelley wrote Frankenstein.", a_chunk())
    return Evaluation(
        origin=answer.origin,
        answer=answer,
        scores=(Score(name="relevance", value=overall), Score(name="policy_compliance", value=policy)),
        overall=overall,
        passed=passed,
        evaluator="rules/2",
    )


def a_result(text: str = "Mary Shelley wrote Frankenstein.", *, origin: Origin | None = None) -> Result:
    origin = origin or an_origin()
    return Result(
        origin=origin,
        result_id=result_id(origin.request_id),
        status=Status.OK,
        text=text,
        sources=(Source(chunk_id="frankenstein#0", document_id="frankenstein", title="Frankenstein", relevance=0.8),),
        scores=(Score(name="relevance", value=0.9),),
        overall=0.9,
        decision=a_decision(),
        prompt_version="literary/1",
        evaluator="rules/2",
        input_tokens=50,
        output_tokens=6,
        latency_ms=120.0,
        query=QUESTION,
        context_pack_id="pack-7",
        pack_version="3",
    )


def a_feedback(*, origin: Origin | None = None) -> Feedback:
    return judged(a_result(origin=origin), a_decision())


def a_rating(
    rating_id: str = "rating-1",
    *,
    origin: Origin | None = None,
    score: float | None = 0.25,
    correction: str | None = None,
) -> Rating:
    origin = origin or an_origin()
    return Rating(origin=origin, rating_id=rating_id, score=score, correction=correction, rated_by="reader-1", at=NOON)


def a_verdict(
    model: str = "first", score: float = 0.8, *, at: datetime = NOON, cell: str = "literary/analysis"
) -> Verdict:
    return Verdict(
        verdict_id=f"{model}:{score}:{at.isoformat()}",
        cell=cell,
        model=model,
        score=score,
        latency_ms=100.0,
        cost_usd=0.0,
        at=at,
    )
