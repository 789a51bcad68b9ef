"""Feedback to DataForge over HTTP; tests/fakes/dataforge.py is the contract as a server."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus

import httpx

from schemas.records import Feedback
from streams.clients.retry_after import retry_after_s
from streams.errors import DataForgeRefused, DataForgeUnavailable, SettingsInvalid
from streams.settings import DataForgeSettings

SOURCE = "forgestream"
VERSION = "1"  # of the contract, sent as Accept-Version
INFERENCES = "/api/neuroforge/inferences"
OUTCOMES = "/api/v1/model-outcomes"
CONNECTIONS = 8
AGAIN_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class DataForge:
    """A `FeedbackSink`. Provenance goes first, then the outcome by which chunks are ranked; both are idempotent."""

    def __init__(self, settings: DataForgeSettings) -> None:
        if not settings.url.startswith(("http://", "https://")):
            raise SettingsInvalid(
                [f"FORGESTREAM_DATAFORGE_URL must start with http:// or https://, not {settings.url!r}"]
            )
        self._timeout_s = settings.timeout_s
        self._turns = asyncio.Semaphore(CONNECTIONS)  # waiting for a connection is not DataForge's slowness
        headers = {"Accept": "application/json", "Accept-Version": VERSION, "Content-Type": "application/json"}
        if settings.api_key:
            headers["X-API-Key"] = settings.api_key
        self._http = httpx.AsyncClient(
            base_url=settings.url,
            headers=headers,
            timeout=settings.timeout_s,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            trust_env=False,  # the settings say where DataForge is; proxies of the shell do not
        )

    async def start(self) -> None:
        """Nothing to open: connections are made by the first calls."""

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()

    async def deliver(self, feedback: Feedback) -> None:
        """Deliver once, idempotent on `feedback_id`.

        Raises:
            DataForgeUnavailable: it did not answer, not in time, or not in its own language; try later.
            DataForgeRefused: it will never take this.
        """
        await self._post(INFERENCES, inference_body(feedback))
        await self._post(OUTCOMES, outcome_body(feedback))

    async def _post(self, path: str, body: Mapping[str, object]) -> None:
        try:
            async with (
                self._turns,
                asyncio.timeout(self._timeout_s),
            ):  # httpx limits each read; a trickle would never end
                answer = await self._http.post(path, content=json.dumps(body))
        except (httpx.HTTPError, TimeoutError) as error:
            raise DataForgeUnavailable(f"DataForge did not answer {path} ({type(error).__name__})") from error
        _judge(path, answer)


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


def _judge(path: str, answer: httpx.Response) -> None:
    status = answer.status_code
    if answer.is_success:
        if answer.content and not _is_json(answer):
            raise DataForgeUnavailable(f"the answer of DataForge to {path} is no JSON")
    elif answer.is_server_error or status in AGAIN_LATER:
        message = f"DataForge answered {path} with {status}"
        raise DataForgeUnavailable(message, retry_after_s=retry_after_s(answer.headers))
    elif status != HTTPStatus.CONFLICT:  # a conflict is an id that was delivered before
        raise DataForgeRefused(f"DataForge rejected {path} with {status}", context={"answer": answer.text[:500]})


def _is_json(answer: httpx.Response) -> bool:
    try:
        answer.json()
    except ValueError:
        return False
    return True
