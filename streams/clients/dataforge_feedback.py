"""Feedback in the words of DataForge: the bodies of its three calls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from schemas.records import Feedback, Rating

SOURCE = "forgestream"
Body = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of call. `body` returns None for feedback that has nothing to say in it; DataForge is idempotent on `id_field`."""

    path: str
    id_field: str
    body: Callable[[Feedback], Body | None]


def inference(feedback: Feedback) -> Body | None:
    """Return where an answer came from; of a rating the correction, which is an answer too, and right by what it is."""
    if feedback.rating is not None:
        return _correction(feedback, feedback.rating)
    return {
        **_asked(feedback),
        "output": feedback.output,
        "tokens_used": feedback.tokens_used,
        "evaluation_score": _share(feedback.reward),
        "evaluation_passed": feedback.passed,
        "evaluation_details": {
            **{score.name: {"value": score.value, "status": score.status} for score in feedback.scores},
            "provenance": _provenance(feedback),
        },
        "latency_ms": feedback.latency_ms,
        "status": "completed" if feedback.error is None else "failed",
        "error_message": feedback.error,
    }


def routing_decision(feedback: Feedback) -> Body | None:
    """Return why this model was asked; a rating decides nothing."""
    decision = feedback.decision
    if decision is None or feedback.rating is not None:
        return None
    return {
        "request_id": feedback.origin.request_id,
        "task_type": feedback.cell.partition("/")[2],
        "selected_provider": decision.provider,
        "selected_model": decision.model,
        "selected_tier": decision.tier or "unknown",
        "reasons": list(decision.reasons),
        "fallback_chain": [model for model in decision.chain if model != decision.model],
        "rejected": dict(decision.rejected),
        "latency_ms": feedback.latency_ms,
        "cost_estimate": decision.cost_estimate_usd,
    }


def model_outcome(feedback: Feedback) -> Body | None:
    """Return the reward by which chunks are ranked; the evidence names those that were used. A mere correction has none."""
    rating = feedback.rating
    if rating is not None and rating.score is None:
        return None
    return {
        "outcome_id": feedback.feedback_id,
        "context_bundle_id": feedback.context_pack_id or feedback.origin.request_id,
        "model_id": feedback.model,
        "routing_cell": feedback.cell,
        "reward": _share(feedback.reward),
        "stage": "evaluate" if rating is None else "rate",
        "evidence": list(feedback.chunk_ids),
        "source_system": SOURCE,
    }


# Provenance goes first, the outcome by which chunks are ranked last.
PARTS: Sequence[Part] = (
    Part(path="/api/neuroforge/inferences", id_field="inference_id", body=inference),
    Part(path="/api/neuroforge/routing-decisions", id_field="request_id", body=routing_decision),
    Part(path="/api/v1/model-outcomes", id_field="outcome_id", body=model_outcome),
)


def _correction(feedback: Feedback, rating: Rating) -> Body | None:
    if rating.correction is None:
        return None
    said = {
        "score": rating.score,
        "comment": rating.comment,
        "rated_by": rating.rated_by,
        "rated_at": rating.at.isoformat(),
    }
    return {
        **_asked(feedback),
        "output": rating.correction,
        "tokens_used": 0,
        "evaluation_score": 1.0,
        "evaluation_passed": True,
        "evaluation_details": {"rating": said, "corrects": feedback.output, "provenance": _provenance(feedback)},
        "latency_ms": 0.0,
        "status": "completed",
        "error_message": None,
    }


def _asked(feedback: Feedback) -> Body:
    domain, _, task = feedback.cell.partition("/")
    return {
        "inference_id": feedback.feedback_id,
        "domain": domain,
        "task_type": task,
        "context_pack_id": feedback.context_pack_id,
        "user_query": feedback.query,
        "model_id": feedback.model,
        "model_provider": feedback.provider,
    }


def _provenance(feedback: Feedback) -> Body:
    known: Body = {
        "request_id": feedback.origin.request_id,
        "pack_version": feedback.pack_version,
        "chunk_ids": list(feedback.chunk_ids),
        "prompt_version": feedback.prompt_version,
        "evaluator": feedback.evaluator,
        "degradations": list(feedback.degradations),
    }
    return {name: value for name, value in known.items() if value}


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
