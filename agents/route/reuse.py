"""Which answers may be given again, and what is recorded then: pure functions."""

from dataclasses import replace
from datetime import datetime

from agents.route.rules import EXPLORATION, Plan
from schemas.records import Answer, Decision, Domain, Prompt, Reuse, RouteDecision
from streams.answers import CachedAnswer, Hit, Question, Scope, digest
from streams.canary import gives_away
from streams.lots import lot
from streams.ports import ModelSpec
from streams.settings import CacheSettings

KINDS = {"exact": "cache_exact", "semantic": "cache_semantic", "in_flight": "cache_in_flight"}
WHOLE = "stop"


def question(prompt: Prompt, plan: Plan, preferred: ModelSpec | None, settings: CacheSettings) -> Question | None:
    """Return what a prompt asks, or None when its answer must be made for it alone.

    That is so where answers vary (temperature above 0), in the middle of a conversation, while something could not be had,
    where a challenger is to prove itself, and where asking costs nothing.
    """
    request = prompt.request
    alone = (
        request.temperature != 0.0 or bool(request.history or prompt.turns or prompt.degradations) or not prompt.mark
    )
    if settings.exact == "off" or alone or preferred is None or preferred.repeatable or plan.reason == EXPLORATION:
        return None
    system, user = prompt.system.replace(prompt.canary, ""), prompt.user.replace(prompt.mark, "")
    passages = [digest(chunk.chunk_id, chunk.title, chunk.text) for chunk in prompt.chunks if chunk.kept]
    pack = (request.context_pack_id or "", prompt.pack_version or "")
    before, _, behind = user.rpartition(request.query)  # where a text of its own ends with it, this finds nothing near
    near = settings.semantic == "on" and not request.risk_reasons and not request.strict
    return Question(
        scope=Scope(
            tenant=prompt.origin.tenant,
            domain=request.domain,
            task=request.task,
            grounds=digest(*pack, system, before, behind, *passages),
            prompt_version=prompt.prompt_version,
            model=request.model or "",
            tier=preferred.tier,
        ),
        ask=digest(request.query, user, str(request.max_tokens)),
        text=request.query,
        max_tokens=request.max_tokens,
        threshold=threshold(request.domain, settings) if near else None,
    )


def threshold(domain: Domain, settings: CacheSettings) -> float:
    """Return how near questions of a domain must be."""
    return {
        Domain.LITERARY: settings.similar_literary,
        Domain.MARKET: settings.similar_market,
        Domain.GENERAL: settings.similar_general,
    }[domain]


def worth_keeping(answer: Answer) -> bool:
    """Whether an answer may be given to others: whole in every respect, and not one that gives its instructions away.

    The next one to get it has another canary, which would not be found in it.
    """
    return not answer.degradations and answer.reused is None and not gives_away(answer.text, answer.canary)


def kept_under(question: Question, answer: Answer, tier: str) -> Question:
    """Return under which question an answer is kept: the tier is that of the model that gave it.

    Only one that came to its own end is given to those who ask something near, who may have room for more.
    """
    near = question.threshold if answer.finish_reason == WHOLE else None
    return replace(question, scope=replace(question.scope, tier=tier), threshold=near)


def cached(answer: Answer, at: datetime) -> CachedAnswer:
    """Return an answer as it is kept."""
    return CachedAnswer(
        text=answer.text,
        model=answer.decision.model,
        provider=answer.decision.provider,
        finish_reason=answer.finish_reason,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        request_id=answer.origin.request_id,
        at=at,
    )


def decided(prompt: Prompt, plan: Plan, hit: Hit, at: datetime) -> Decision:
    """Return the record of the decision to ask nobody."""
    return Decision(
        origin=prompt.origin,
        decision_id=prompt.origin.request_id,
        cell=plan.cell,
        strategy=plan.strategy,
        reasons=(KINDS[hit.kind],),
        rejected=plan.rejected,
        estimates_usd={},
        at=at,
    )


def answer(prompt: Prompt, plan: Plan, hit: Hit, took_ms: float) -> Answer:
    """Return an answer that was given before, as the answer to this prompt."""
    known = hit.answer
    return Answer(
        origin=prompt.origin,
        request=prompt.request,
        chunks=prompt.chunks,
        text=known.text,
        decision=RouteDecision(
            strategy=plan.strategy,
            cell=plan.cell,
            model=known.model,
            provider=known.provider,
            reasons=(KINDS[hit.kind],),
            rejected=plan.rejected,
            chain=(),
        ),
        finish_reason=known.finish_reason,
        input_tokens=known.input_tokens,
        output_tokens=known.output_tokens,
        latency_ms=took_ms,
        ttft_ms=took_ms,
        prompt_version=prompt.prompt_version,
        canary=prompt.canary,
        pack_version=prompt.pack_version,
        reused=Reuse(kind=hit.kind, request_id=known.request_id, similarity=hit.similarity, age_s=hit.age_s),
    )


def to_be_checked(prompt: Prompt, hit: Hit, settings: CacheSettings) -> bool:
    """Whether a hit is one of those that are asked anew, to see whether it was right."""
    return hit.kind == "semantic" and lot("verify", prompt.origin.request_id) < settings.verify_share


def same_numbers(one: str, other: str) -> bool:
    """Whether two answers name the same numbers: texts that differ in a number are near to each other, and mean another thing."""
    return _numbers(one) == _numbers(other)


def _numbers(text: str) -> set[str]:
    cleaned = "".join(letter if letter.isdigit() or letter in ".," else " " for letter in text)
    return {number.replace(",", "").strip(".") for number in cleaned.split()} - {""}
