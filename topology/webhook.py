"""Where DataForge tells that a pack has changed; the change becomes an `invalidations` record, which every worker reads.

Who calls proves that it knows the secret: it signs the moment and the body, and a signature is good for five minutes.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web

from schemas.records import Invalidation
from streams.errors import DeliveryFailed, SettingsInvalid
from streams.packs import SUBJECT
from streams.ports import Clock
from streams.settings import DataForgeSettings
from topology.listening import listening

log = logging.getLogger("forgestream.webhook")

PATH = "/invalidations"
SIGNATURE = "X-Forgestream-Signature"
SHORTEST_SECRET = 16
TOLERANCE_S = 300  # a signature of another moment is somebody else's recording
MOST_BYTES = 16_384
LONGEST = 200  # characters of an id, a version or a reason
REASONS = ("updated", "deleted")
FIELDS = frozenset({"context_pack_id", "bundle_hash", "reason"})

Announce = Callable[[Invalidation], Awaitable[None]]


def sign(secret: str, body: bytes, at: datetime) -> str:
    """Return the signature of a body: `t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>." and the body>`."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={_mac(secret, seconds, body)}"


def genuine(secret: str, body: bytes, signature: str, at: datetime) -> bool:
    """Tell whether somebody who knows the secret has signed this body just now."""
    parts = dict(part.strip().partition("=")[::2] for part in signature.split(","))
    seconds, mac = parts.get("t", ""), parts.get("v1", "")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= len("99999999999")):
        return False
    signed = hmac.compare_digest(_mac(secret, seconds, body).encode(), mac.encode("utf-8", "replace"))
    return signed and abs(int(seconds) - at.timestamp()) <= TOLERANCE_S


def change(body: bytes, at: datetime) -> Invalidation:
    """Return what a body says has changed.

    Raises:
        ValueError: it says something else; the message names the field.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is no JSON") from None
    if not isinstance(said, dict) or not set(said) <= FIELDS:
        raise ValueError(f"the body must be an object of {', '.join(sorted(FIELDS))}")
    pack_id, version, reason = (
        said.get("context_pack_id"),
        said.get("bundle_hash", "unknown"),
        said.get("reason", "updated"),
    )
    for name, value in (("context_pack_id", pack_id), ("bundle_hash", version)):
        if not isinstance(value, str) or not 1 <= len(value) <= LONGEST or not value.isprintable():
            raise ValueError(f"{name} must be a text of 1 to {LONGEST} characters")
    if reason not in REASONS:
        raise ValueError(f"reason must be one of {', '.join(REASONS)}")
    return Invalidation(subject=f"{SUBJECT}{pack_id}", version=str(version), reason=str(reason), at=at.astimezone(UTC))


def check(settings: DataForgeSettings) -> None:
    """Refuse a webhook that anybody could call. Raises SettingsInvalid."""
    if settings.webhook_port and len(settings.webhook_secret) < SHORTEST_SECRET:
        raise SettingsInvalid(
            [
                f"FORGESTREAM_DATAFORGE_WEBHOOK_SECRET must have at least {SHORTEST_SECRET} characters while the webhook is served"
            ]
        )


@asynccontextmanager
async def webhook(settings: DataForgeSettings, announce: Announce, clock: Clock) -> AsyncIterator[int | None]:
    """Serve POST /invalidations while the block runs; yields the port, None when none is configured.

    Args:
        settings: port, address and secret.
        announce: puts a change on its topic and returns when the broker has it. Raises DeliveryFailed.
        clock: dates the change.

    Raises:
        StartRefused: the port is taken, or the secret is none.
    """
    if not settings.webhook_port:
        yield None
        return
    check(settings)

    async def told(request: web.Request) -> web.Response:
        body = await request.read()
        if not genuine(settings.webhook_secret, body, request.headers.get(SIGNATURE, ""), clock.now()):
            log.warning("a change was told by somebody who does not know the secret")
            return _problem(HTTPStatus.UNAUTHORIZED, f"sign moment and body in {SIGNATURE}; see docs/context.md")
        try:
            changed = change(body, clock.now())
            await announce(changed)
        except ValueError as error:
            return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except DeliveryFailed:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "the change could not be passed on; tell it again")
        return web.json_response({"status": "accepted", "subject": changed.subject}, status=HTTPStatus.ACCEPTED)

    app = web.Application(client_max_size=MOST_BYTES)
    app.add_routes([web.post(PATH, told)])
    setting = "FORGESTREAM_DATAFORGE_WEBHOOK_PORT"
    async with listening(app, settings.webhook_host, settings.webhook_port, name="webhook", setting=setting) as port:
        yield port


def _mac(secret: str, seconds: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()


def _problem(status: HTTPStatus, detail: str) -> web.Response:
    problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return web.json_response(problem, status=status, content_type="application/problem+json")
