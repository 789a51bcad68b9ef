"""How an admitted request looks to the gate and to the screen, and what they make of it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from schemas.records import Duplicate, RateLimit, Request, Turn
from streams.errors import InjectionSuspected, RateLimited
from streams.ports import Entry, Passage, Quota
from streams.screen.screening import Screening
from streams.settings import AdmitSettings

CHARS_PER_TOKEN = 4  # which tokenizer will count is not known yet


def entry(request: Request, settings: AdmitSettings) -> Entry:
    """Return the request as the gate counts it: the tokens of its query, roughly, and all that its answer may have."""
    origin = request.origin
    return Entry(
        request_id=origin.request_id,
        session_id=origin.session_id,
        tenant=origin.tenant,
        fingerprint=fingerprint(request),
        tokens=len(request.query) // CHARS_PER_TOKEN + request.max_tokens,
        quotas=tuple(_quotas(request, settings)),
    )


def fingerprint(request: Request) -> str:
    """Return the same text for requests that ask the same of the same conversation."""
    origin = request.origin
    asked = [
        origin.session_id, origin.user_id, origin.replay_id, request.query, request.domain, request.task,
        request.context_pack_id, request.strategy, request.model, request.temperature, request.max_tokens,
        request.strict, request.speak, request.doubtful,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]


def repetition(request: Request, passage: Passage) -> Duplicate | None:
    """Return the request as one that waits for the result of another, when it repeats one."""
    if passage.first_request_id is None:
        return None
    return Duplicate(
        origin=request.origin,
        request=request,
        first_request_id=passage.first_request_id,
        first_session_id=passage.first_session_id,
    )


def within_limits(passage: Passage) -> tuple[RateLimit, ...]:
    """Return the limits.

    Raises:
        RateLimited: one is exceeded.
    """
    if passage.exceeded is not None:
        raise RateLimited(passage.limits, passage.exceeded)
    return passage.limits


def screened(
    request: Request, limits: tuple[RateLimit, ...], screening: Screening, history: Sequence[Turn], *, refused: bool
) -> Request:
    """Return the request with its risk, its limits and what was said before.

    Raises:
        InjectionSuspected: the screen refuses it.
    """
    if refused:
        error = InjectionSuspected(screening.risk, screening.reasons, screening.version)
        error.limits = limits
        raise error
    return replace(
        request,
        risk=screening.risk,
        risk_reasons=screening.reasons,
        screened_by=screening.version or None,
        limits=limits,
        history=tuple(history),
    )


def _quotas(request: Request, settings: AdmitSettings) -> Sequence[Quota]:
    origin = request.origin
    quotas = [("tenant", "tenant", settings.tenant_requests, settings.tenant_tokens)]
    if origin.user_id is not None:
        quotas.append(("user", f"user:{origin.user_id}", settings.user_requests, settings.user_tokens))
    return [
        Quota(name=name, subject=f"{origin.tenant}:{subject}", requests=requests, tokens=tokens)
        for name, subject, requests, tokens in quotas
        if requests or tokens
    ]
