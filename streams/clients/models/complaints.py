"""From what a provider says when it will not answer to the error taxonomy: pure functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from streams.clients.models.keys import KeyTrouble
from streams.clients.retry_after import retry_after_s
from streams.errors import ContentRefused, ContextOverflow, PipelineError, ProviderRefused, ProviderUnavailable

LONGEST_TEXT = 300
AGAIN_LATER = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
# Kinds of Anthropic and OpenAI that stay what they are, even when they come after the answer has begun.
FOR_GOOD = frozenset(
    {"invalid_request_error", "authentication_error", "permission_error", "not_found_error", "billing_error"}
)
OUT_OF_CREDIT = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached"})
POLICY_KINDS = frozenset({"content_filter", "content_policy_violation", "moderation_blocked", "refusal"})
POLICY = re.compile(r"content (filter|policy|management policy|moderation)|safety system|usage polic", re.IGNORECASE)
WINDOW_KINDS = frozenset({"context_length_exceeded", "exceed_context_size_error", "request_too_large"})
WINDOW = re.compile(
    r"context (length|window|size)|prompt is too long|maximum (context|input)|input (length|is too long)|too many tokens",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What a provider said, or what became of the connection. `kinds` are the provider's own words for it.

    `status` is None where no HTTP answer came; 200 where the answer had begun.
    """

    text: str
    status: int | None = None
    kinds: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def retry_after_s(self) -> float | None:
        """What the provider wishes."""
        return retry_after_s(self.headers)


def about_key(complaint: Complaint) -> KeyTrouble | None:
    """Return what is wrong with the key, when that is what the complaint is about."""
    if complaint.kinds & OUT_OF_CREDIT or complaint.status == HTTPStatus.PAYMENT_REQUIRED:
        return KeyTrouble.REFUSED
    if complaint.status == HTTPStatus.UNAUTHORIZED or "authentication_error" in complaint.kinds:
        return KeyTrouble.REFUSED
    if complaint.status == HTTPStatus.TOO_MANY_REQUESTS or "rate_limit_error" in complaint.kinds:
        return KeyTrouble.LIMITED
    return None


def failure(model: str, complaint: Complaint) -> PipelineError:
    """Return the error of a complaint. A provider that rejects a key may quote it, so its words are left out then."""
    said = complaint.text[:LONGEST_TEXT] if about_key(complaint) is not KeyTrouble.REFUSED else "the API key is refused"
    message = f"{model} answered {complaint.status}: {said}" if complaint.status else f"{model}: {said}"
    if _overflows(complaint):
        return ContextOverflow(message)
    if complaint.kinds & POLICY_KINDS or (complaint.status is not None and POLICY.search(complaint.text)):
        return ContentRefused(message)
    if _transient(complaint):
        return ProviderUnavailable(message, retry_after_s=complaint.retry_after_s)
    return ProviderRefused(message)


def _overflows(complaint: Complaint) -> bool:
    if complaint.status == HTTPStatus.TOO_MANY_REQUESTS:  # too many tokens a minute is another matter
        return False
    if complaint.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or complaint.kinds & WINDOW_KINDS:
        return True
    return complaint.status is not None and WINDOW.search(complaint.text) is not None


def _transient(complaint: Complaint) -> bool:
    kinds, status = complaint.kinds, complaint.status
    if kinds & OUT_OF_CREDIT:
        return False
    if status is None or status == HTTPStatus.OK:
        return not kinds & FOR_GOOD
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in AGAIN_LATER
