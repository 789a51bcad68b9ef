"""Calls of DataForge: one pooled HTTP client with key, version, timeout, bounds, and a class for every failure."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from streams.clients.retry_after import retry_after_s
from streams.errors import DataForgeRefused, DataForgeUnavailable, PackNotFound, SettingsInvalid
from streams.settings import DataForgeSettings

VERSION = "1"  # of the contract, sent as Accept-Version
CONNECTIONS = 8
MOST_BYTES = 4 * 1024 * 1024  # of an answer, uncompressed
SHOWN = 500  # characters of an answer that are quoted
AGAIN_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
Json = object


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    content: bytes

    def json(self) -> Json:
        """Return what it says. Raises ValueError, RecursionError."""
        return json.loads(self.content)


class DataForgeHttp:
    """The connections to one DataForge."""

    def __init__(self, settings: DataForgeSettings) -> None:
        if not settings.url.startswith(("http://", "https://")):
            raise SettingsInvalid(
                [f"FORGESTREAM_DATAFORGE_URL must start with http:// or https://, not {settings.url!r}"]
            )
        self._version = VERSION
        self._timeout_s = settings.timeout_s
        self._turns = asyncio.Semaphore(CONNECTIONS)  # waiting for a connection is not DataForge's slowness
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if settings.api_key:
            headers["X-API-Key"] = settings.api_key
        self._http = httpx.AsyncClient(
            base_url=settings.url,
            headers=headers,
            timeout=settings.timeout_s,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            trust_env=False,  # the settings say where DataForge is; proxies of the shell do not
        )

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()

    async def get(self, path: str) -> Json:
        """Return what DataForge says.

        Raises:
            PackNotFound: it has nothing there.
            DataForgeUnavailable, DataForgeRefused: as for `post`.
        """
        answer = await self._negotiated("GET", path, None)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise PackNotFound(f"DataForge has no {path}")
        said = _judged(path, answer)
        if said is None:
            raise DataForgeUnavailable(f"the answer of DataForge to {path} is empty")
        return said

    async def post(self, path: str, body: Mapping[str, object]) -> Json:
        """Send a body; a conflict means that it was sent before.

        Raises:
            DataForgeUnavailable: it did not answer, not in time, or not in its own language; try later.
            DataForgeRefused: it will never take this.
        """
        return _judged(path, await self._negotiated("POST", path, body))

    async def alive(self, path: str) -> bool:
        """Tell whether anybody who is well answers there."""
        try:
            return (await self._sent("GET", path, None)).status < HTTPStatus.INTERNAL_SERVER_ERROR
        except DataForgeUnavailable:
            return False

    async def _negotiated(self, method: str, path: str, body: Mapping[str, object] | None) -> _Answer:
        """Send once; again when DataForge names a version of the contract that is like ours."""
        answer = await self._sent(method, path, body)
        if answer.status != HTTPStatus.NOT_ACCEPTABLE:
            return answer
        spoken = _versions(answer)
        known = [version for version in spoken if version.partition(".")[0] == VERSION]
        if not known or known[-1] == self._version:
            raise DataForgeRefused(
                f"DataForge speaks versions {', '.join(spoken) or 'it does not name'} of the contract, not {VERSION}",
                context={"status": str(answer.status)},
            )
        self._version = known[-1]
        return await self._sent(method, path, body)

    async def _sent(self, method: str, path: str, body: Mapping[str, object] | None) -> _Answer:
        content = json.dumps(body) if body is not None else None
        headers = {"Accept-Version": self._version}
        try:
            # httpx limits each read; a trickle would never end
            async with (
                self._turns,
                asyncio.timeout(self._timeout_s),
                self._http.stream(method, path, content=content, headers=headers) as answer,
            ):
                return _Answer(answer.status_code, answer.headers, await _bounded(path, answer))
        except (httpx.HTTPError, TimeoutError) as error:
            raise DataForgeUnavailable(f"DataForge did not answer {path} ({type(error).__name__})") from error


async def _bounded(path: str, answer: httpx.Response) -> bytes:
    content = bytearray()
    async for part in answer.aiter_bytes():
        content += part
        if len(content) > MOST_BYTES:
            raise DataForgeRefused(f"the answer of DataForge to {path} is longer than {MOST_BYTES:,} bytes")
    return bytes(content)


def _judged(path: str, answer: _Answer) -> Json:
    """Return what an answer says, None when it says nothing."""
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        if not answer.content:
            return None
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise DataForgeUnavailable(f"the answer of DataForge to {path} is no JSON") from error
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in AGAIN_LATER:
        message = f"DataForge answered {path} with {status}"
        raise DataForgeUnavailable(message, retry_after_s=retry_after_s(answer.headers))
    if status == HTTPStatus.CONFLICT:  # an id that was delivered before
        return None
    quoted = answer.content[:SHOWN].decode("utf-8", "replace")
    raise DataForgeRefused(f"DataForge rejected {path} with {status}", context={"answer": quoted})


def _versions(answer: _Answer) -> Sequence[str]:
    """Return the versions DataForge says it speaks, oldest first; none when it names none."""
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        said = None
    named = said.get("versions") if isinstance(said, dict) else None
    found = named if isinstance(named, list) else answer.headers.get("accept-version", "").split(",")
    numbers = [text.strip() for text in found if isinstance(text, str)]
    return sorted((text for text in numbers if text.replace(".", "").isdigit()), key=_ordinal)


def _ordinal(version: str) -> list[int]:
    return [int(number) for number in version.split(".") if number]
