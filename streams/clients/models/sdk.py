"""What the SDKs raise, as complaints. Their exceptions hold requests with keys in them: none goes further than here."""

from collections.abc import Mapping
from http import HTTPStatus

import httpx2

from streams.clients.models.complaints import Complaint

LOST = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError)
# An event that is no JSON, or JSON of another shape than the SDK's types say; they are not checked as they are read.
DAMAGED = (ValueError, TypeError, AttributeError, LookupError, RecursionError)


def complaint_of(error: Exception) -> Complaint:
    """Return what the error of an SDK says; both are generated from one template, so their errors have one shape."""
    status, body = getattr(error, "status_code", None), getattr(error, "body", None)
    if isinstance(status, int):
        text = _text(body) or _text(str(error)) or "no message"
        return Complaint(text=text, status=status, kinds=_kinds(body), headers=_headers(error))
    if body is not None:  # after the answer had begun
        return Complaint(text=_text(body) or "no message", status=HTTPStatus.OK, kinds=_kinds(body))
    return lost(error.__cause__ or error)


def lost(error: BaseException) -> Complaint:
    """Return what became of the connection. Only the name of the error: its text may hold an address with a password."""
    return Complaint(text=f"the connection failed ({type(error).__name__})")


def damaged(error: BaseException) -> Complaint:
    """Return that the answer cannot be understood."""
    return Complaint(text=f"the answer cannot be understood ({type(error).__name__})")


def _headers(error: Exception) -> Mapping[str, str]:
    response = getattr(error, "response", None)
    return response.headers if isinstance(response, httpx2.Response) else {}


def _kinds(body: object) -> frozenset[str]:
    """The provider's words for an error: `type` and `code` of the body or of the `error` in it."""
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    if not isinstance(inner, Mapping):
        return frozenset()
    return frozenset(str(inner[name]) for name in ("type", "code") if isinstance(inner.get(name), str))


def _text(body: object) -> str:
    if isinstance(body, str):
        return body
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    found = inner.get("message") if isinstance(inner, Mapping) else inner
    return found if isinstance(found, str) else ""
