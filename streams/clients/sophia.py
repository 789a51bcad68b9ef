"""Proposals to Sophia over HTTP; tests/loopback/sophia.py is the contract as a server."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from schemas.records import SophiaProposal
from streams.clients.json_http import JsonHttp, System
from streams.errors import PipelineError, SophiaRefused, SophiaUnavailable
from streams.settings import SophiaSettings

PATH = "/ingest/hermes_proposal"
ACCEPTED = "accepted"
SOPHIA = System(
    name="Sophia",
    setting="FORGESTREAM_SOPHIA_URL",
    key_setting="FORGESTREAM_SOPHIA_TOKEN",
    unavailable=SophiaUnavailable,
    refused=SophiaRefused,
)


class Sophia:
    """A `ProposalSink`."""

    def __init__(self, settings: SophiaSettings) -> None:
        self._http = JsonHttp(
            SOPHIA,
            settings.url,
            headers={"Authorization": f"Bearer {settings.token}"} if settings.token else {},
            timeout_s=settings.timeout_s,
            parallel=settings.parallel,
        )

    async def start(self) -> None:
        """Nothing to open: connections are made by the first calls."""

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.close()

    async def deliver(self, batch: Sequence[SophiaProposal]) -> Sequence[PipelineError | None]:
        """Deliver proposals one by one; return what became of each."""
        return [await self._delivered(proposal) for proposal in batch]

    async def _delivered(self, proposal: SophiaProposal) -> PipelineError | None:
        try:
            answer = await self._http.sent("POST", PATH, body(proposal))
            said = self._http.said(PATH, answer)
        except (SophiaUnavailable, SophiaRefused) as error:
            return error
        if answer.status == HTTPStatus.CONFLICT:  # it has the proposal
            return None
        status = said.get("status") if isinstance(said, dict) else None
        if status == ACCEPTED:
            return None
        if isinstance(status, str):
            return SophiaRefused(
                f"Sophia answered {status[:80]!a} instead of {ACCEPTED}", context={"status": status[:80]}
            )
        return SophiaUnavailable(f"the answer of Sophia to {PATH} does not say whether it has accepted")


def body(proposal: SophiaProposal) -> Mapping[str, object]:
    """Return the body of `POST /ingest/hermes_proposal`."""
    origin = proposal.origin
    return {
        "proposal_id": proposal.proposal_id,
        "correlation_id": origin.correlation_id,
        "source_service": origin.source_service,
        "llm_provider": proposal.llm_provider,
        "model": proposal.model,
        "confidence": proposal.confidence,
        "generated_at": proposal.generated_at.isoformat(),
        "nodes": [json.loads(node) for node in proposal.nodes],
        "edges": [json.loads(edge) for edge in proposal.edges],
        "raw_text": proposal.raw_text,
        "embedding": {
            "vector": list(proposal.vector),
            "dimension": len(proposal.vector),
            "model": proposal.embedding_model,
            "embedding_id": proposal.embedding_id,
        },
        "metadata": dict(proposal.metadata),
        "provenance": {name: value for name, _, value in (text.partition("=") for text in proposal.provenance)},
    }
