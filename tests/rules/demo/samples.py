"""Records of a demo run, small enough to read."""

from datetime import UTC, datetime, timedelta

from schemas.records import (
    Answer,
    CircuitState,
    Context,
    Domain,
    Embedding,
    ErrorReport,
    Evaluation,
    Feedback,
    ModelStanding,
    Prompt,
    Ranking,
    Request,
    Result,
    RouteDecision,
    Score,
    Severity,
    Source,
    Status,
    Strategy,
    Task,
    TokenEvent,
    TokenEventType,
)
from streams.errors import InjectionSuspected
from topology.demo.journeys import Seen
from topology.demo.questions import NOT_A_RECORD, Asked, Ending, origin, scripted, text_query

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
START_MS = NOW.timestamp() * 1000
NAMES = ("relevance", "correctness", "coherence", "policy_compliance", "context_overlap")
ASKED = tuple(scripted())
PATH_MS = {
    "admit": 1.2,
    "embed": 4.1,
    "retrieve": 8.7,
    "compose": 1.9,
    "route": 640.0,
    "evaluate": 11.3,
    "publish": 0.9,
}
DECISION = RouteDecision(
    strategy=Strategy.DOMAIN_OPTIMIZED,
    cell="literary/analysis",
    model="smollm2",
    provider="llamacpp",
    reasons=("first choice of the chain",),
    rejected={},
    chain=("smollm2", "extractive"),
)


def a_request(asked: Asked) -> Request:
    question = asked.question
    return Request(
        origin=origin(asked, NOW),
        query=question.text,
        domain=Domain.LITERARY,
        task=Task.ANALYSIS,
        temperature=0.0,
        max_tokens=80,
    )


def an_answer(asked: Asked) -> Answer:
    return Answer(
        origin=origin(asked, NOW),
        request=a_request(asked),
        chunks=(),
        text="Because the whale bit off his leg.",
        decision=DECISION,
        finish_reason="stop",
        input_tokens=200,
        output_tokens=9,
        latency_ms=630.0,
        ttft_ms=120.0,
        prompt_version="literary-1",
        canary="canary",
    )


def a_result(asked: Asked) -> Result:
    question = asked.question
    if question.ending is Ending.REJECTED:
        return Result(
            origin=origin(asked, NOW),
            result_id=asked.request_id,
            status=Status.REJECTED,
            errors=tuple(map(an_error, range(5))),
        )
    sources = (
        Source(
            chunk_id=f"{question.document_id}#0",
            document_id=question.document_id or "",
            title="Moby-Dick",
            relevance=0.86,
        ),
        Source(chunk_id="whales#0", document_id="whales", title="A longer title about whales", relevance=0.41),
    )
    known = question.document_id is not None
    return Result(
        origin=origin(asked, NOW),
        result_id=asked.request_id,
        status=Status.OK if known else Status.DEGRADED,
        text="He hunts it to take revenge, because the whale bit off his leg on an earlier voyage. " * 2,
        degradations=() if known else ("no_context",),
        sources=sources if known else (),
        scores=tuple(Score(name=name, value=0.95 - 0.2 * place) for place, name in enumerate(NAMES)),
        overall=0.71,
        decision=DECISION,
        output_tokens=34,
        latency_ms=630.0,
    )


def an_error(number: int) -> ErrorReport:
    return ErrorReport(
        error_code="request_invalid",
        message=f"problem {number} of this request",
        severity=Severity.INFO,
        context={},
        timestamp=NOW,
    )


def an_attack() -> ErrorReport:
    return InjectionSuspected(0.93, ["rule: new instructions"], "1").report(NOW)


def a_ranking() -> Ranking:
    standings = tuple(
        ModelStanding(model=model, score=score, samples=9, recent=(score,), peak=score, low=score, as_of=NOW)
        for model, score in (("extractive", 0.62), ("smollm2", 0.81))
    )
    return Ranking(
        cell="literary/analysis", champion="smollm2", standings=standings, reason="first of its cell", counted={}
    )


def a_circuit(*, open_until: datetime | None = None) -> CircuitState:
    return CircuitState(dependency="llamacpp", open_until=open_until, as_of=NOW, counted={})


def a_feedback(asked: Asked) -> Feedback:
    return Feedback(
        origin=origin(asked, NOW),
        feedback_id=f"feedback-{asked.request_id}",
        chunk_ids=(),
        query="q",
        output="a",
        model="smollm2",
        provider="llamacpp",
        cell="literary/analysis",
        reward=0.7,
        passed=True,
        scores=(),
        tokens_used=9,
        latency_ms=1.0,
    )


def a_token(asked: Asked, content: str, *, epoch: int = 0, sequence: int = 0) -> TokenEvent:
    return TokenEvent(
        origin=origin(asked, NOW),
        type=TokenEventType.TOKEN,
        session_id=asked.request_id,
        content=content,
        epoch=epoch,
        sequence=sequence,
        timestamp=NOW,
    )


def seen(record: object, *, stage: str = "", at_ms: float = 0.0, partition: int = 0, offset: int = 0) -> Seen:
    return Seen(
        topic="topic", partition=partition, offset=offset, record=record, stage=stage, sent_at_ms=START_MS + at_ms
    )


def a_journey(asked: Asked) -> list[Seen]:
    """Return everything the tail sees of one answered question, in order."""
    request, answer = a_request(asked), an_answer(asked)
    embedding = Embedding(origin=request.origin, request=request, embedding_id="e", model="minilm", vector=(1.0,))
    context = Context(origin=request.origin, request=request, chunks=())
    prompt = Prompt(
        origin=request.origin,
        request=request,
        chunks=(),
        system="s",
        user="u",
        prompt_version="1",
        tokens=2,
        tokenizer="t",
        canary="c",
    )
    evaluation = Evaluation(
        origin=request.origin, answer=answer, scores=(), overall=0.7, passed=True, evaluator="rules"
    )
    records = (request, embedding, context, prompt, answer, evaluation, a_result(asked))
    events = [seen(text_query(asked, NOW))]
    at_ms = 0.0
    for (stage, ms), record in zip(PATH_MS.items(), records, strict=True):
        at_ms += ms
        events.append(seen(record, stage=stage, at_ms=at_ms, offset=asked.question.number))
    return events


def a_whole_run() -> list[Seen]:
    """Return everything the tail sees of the questions when all goes well."""
    events: list[Seen] = []
    for asked in ASKED:
        if asked.question.ending is Ending.REJECTED:
            events += [seen(text_query(asked, NOW)), seen(a_result(asked), stage="admit", at_ms=2.0)]
        else:
            events += [*a_journey(asked), seen(a_feedback(asked), stage="publish")]
    return [*events, seen(a_ranking(), stage="rank"), seen(a_circuit(), stage="watch"), a_dead_letter()]


def a_dead_letter(value: bytes = NOT_A_RECORD) -> Seen:
    headers = {
        "__streams.errors.topic": "texts",
        "__streams.errors.partition": "2",
        "__streams.errors.offset": "7",
        "__streams.errors.message": "the value is not a record of this topic: no magic byte",
        "forgestream.stage": "admit",
        "forgestream.error-code": "undecodable",
    }
    return Seen(
        topic="dead-letters", partition=0, offset=0, record=value, stage="", sent_at_ms=START_MS, headers=headers
    )


LATER = NOW + timedelta(minutes=1)
