"""What is learned from an answer, in the form DataForge gets it: from the judge at once, from a person whenever they say so."""

import hashlib
from dataclasses import replace

from schemas.records import Feedback, Rating, Result, RouteDecision

NOT_PASSED = "evaluation_not_passed"
_ID_LETTERS = 32


def judged(result: Result, decision: RouteDecision) -> Feedback:
    """Return what the judge thinks of a result, under an id that is the same for every delivery of this judgement."""
    return Feedback(
        origin=result.origin,
        feedback_id=_id(result.evaluator or "", result.origin.request_id),
        context_pack_id=result.context_pack_id if result.pack_version is not None else None,
        pack_version=result.pack_version,
        chunk_ids=tuple(source.chunk_id for source in result.sources),
        query=result.query,
        output=result.text,
        model=decision.model,
        provider=decision.provider,
        cell=decision.cell,
        reward=result.overall or 0.0,
        passed=not result.errors and NOT_PASSED not in result.degradations,
        scores=result.scores,
        tokens_used=result.input_tokens + result.output_tokens,
        latency_ms=result.latency_ms,
        prompt_version=result.prompt_version,
        evaluator=result.evaluator,
        decision=decision,
        degradations=result.degradations,
        error="; ".join(error.message for error in result.errors) or None,
    )


def rated(result: Result, decision: RouteDecision, rating: Rating) -> Feedback:
    """Return what a person thinks of a result, under an id of its own."""
    return replace(
        judged(result, decision),
        feedback_id=_id("rating", result.origin.request_id, rating.rating_id),
        reward=rating.score or 0.0,
        rating=rating,
    )


def _id(*of: str) -> str:
    """Return 128 bits of the SHA-256 of some texts."""
    return hashlib.sha256("\0".join(of).encode(errors="surrogatepass")).hexdigest()[:_ID_LETTERS]
