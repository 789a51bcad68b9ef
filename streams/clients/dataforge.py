"""Feedback to DataForge over HTTP; tests/loopback/dataforge.py is the contract as a server."""

from schemas.records import Feedback
from streams.clients.dataforge_http import DataForgeHttp
from streams.settings import DataForgeSettings

SOURCE = "forgestream"
INFERENCES = "/api/neuroforge/inferences"
OUTCOMES = "/api/v1/model-outcomes"


class DataForge:
    """A `FeedbackSink`. Provenance goes first, then the outcome by which chunks are ranked; both are idempotent."""

    def __init__(self, settings: DataForgeSettings) -> None:
        self._http = DataForgeHttp(settings)

    async def start(self) -> None:
        """Nothing to open: connections are made by the first calls."""

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.close()

    async def deliver(self, feedback: Feedback) -> None:
        """Deliver once, idempotent on `feedback_id`.

        Raises:
            DataForgeUnavailable: it did not answer, not in time, or not in its own language; try later.
            DataForgeRefused: it will never take this.
        """
        await self._http.post(INFERENCES, inference_body(feedback))
        await self._http.post(OUTCOMES, outcome_body(feedback))


def outcome_body(feedback: Feedback) -> dict[str, object]:
    """The body of `POST /api/v1/model-outcomes`; the evidence names the chunks that were used."""
    return {
        "outcome_id": feedback.feedback_id,
        "context_bundle_id": feedback.context_pack_id or feedback.origin.request_id,
        "model_id": feedback.model,
        "routing_cell": feedback.cell,
        "reward": min(1.0, max(0.0, feedback.reward)),
        "stage": "evaluate",
        "evidence": list(feedback.chunk_ids),
        "source_system": SOURCE,
    }


def inference_body(feedback: Feedback) -> dict[str, object]:
    """The body of `POST /api/neuroforge/inferences`: where an answer came from."""
    domain, _, task = feedback.cell.partition("/")
    return {
        "inference_id": feedback.feedback_id,
        "domain": domain,
        "task_type": task,
        "context_pack_id": feedback.context_pack_id,
        "user_query": feedback.query,
        "model_id": feedback.model,
        "model_provider": feedback.provider,
        "output": feedback.output,
        "tokens_used": feedback.tokens_used,
        "evaluation_score": feedback.reward,
        "evaluation_passed": feedback.passed,
        "evaluation_details": {score.name: {"value": score.value, "status": score.status} for score in feedback.scores},
        "latency_ms": feedback.latency_ms,
        "status": "completed",
        "error_message": None,
    }
