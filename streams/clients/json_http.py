"""Calls of another system that speaks JSON over HTTP: one pooled client, timeouts, bounds, and a class for every failure."""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from streams.clients.bounded import bounded
from streams.clients.retry_after import retry_after_s
from streams.errors import Permanent, SettingsInvalid, Transient

MOST_BYTES = 4 * 1024 * 1024  # of an answer, uncompressed
SHOWN = 500  # characters of an answer that are quoted
AGAIN_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
WRONG_KEY = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
Json = object

log = logging.getLogger("forgestream.http")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Another system: its name in messages, the settings with its address and our key, and its errors."""

    name: str
    setting: str
    key_setting: str
    unavailable: type[Transient]
    refused: type[Permanent]


@dataclass(frozen=True, slots=True)
class Answer:
    """What it answered."""

    status: int
    headers: httpx.Headers
    content: bytes

    def json(self) -> Json:
        """Return what it says. Raises ValueError, RecursionError."""
        return json.loads(self.content)


class JsonHttp:
    """The connections to one system.

    Raises:
        SettingsInvalid: the address is none.
    """

    def __init__(
        self, system: System, url: str, *, headers: Mapping[str, str], timeout_s: float, parallel: int
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise SettingsInvalid([f"{system.setting} must start with http:// or https://, not {url!r}"])
        check_address(system.setting, url)
        self._system = system
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(parallel)  # waiting for a connection is not the other's slowness
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Accept": "application/json", "Content-Type": "application/json", **headers},
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel),
            trust_env=False,  # the settings say where the system is; proxies of the shell do not
        )

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()

    async def sent(
        self, method: str, path: str, body: Json | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer, whatever its status. Raises the system's `unavailable`; `refused` for an endless one."""
        content = json.dumps(body) if body is not None else None
        name = self._system.name
        too_long = self._system.refused(f"the answer of {name} to {path} is longer than {MOST_BYTES:,} bytes")
        try:
            # httpx limits each read; a trickle would never end
            async with (
                self._turns,
                asyncio.timeout(self._timeout_s),
                self._http.stream(method, path, content=content, headers=headers) as answer,
            ):
                return Answer(answer.status_code, answer.headers, await bounded(answer, MOST_BYTES, too_long))
        except (httpx.HTTPError, TimeoutError) as error:
            message = f"{name} did not answer {path} ({type(error).__name__})"
            raise self._system.unavailable(message) from error

    def said(self, path: str, answer: Answer) -> Json:
        """Return what an answer says, None when it says nothing.

        Raises:
            Transient: `unavailable`: it failed, or is not in JSON; try later.
            Permanent: `refused`: it will never take this.
        """
        quoted = answer.content[:SHOWN].decode("utf-8", "replace")
        error = self.judged(path, answer.status, quoted, wished_s=retry_after_s(answer.headers))
        if error is not None:
            raise error
        if not answer.content or answer.status == HTTPStatus.CONFLICT:
            return None
        try:
            return answer.json()
        except (ValueError, RecursionError) as damage:
            message = f"the answer of {self._system.name} to {path} is no JSON"
            raise self._system.unavailable(message) from damage

    def judged(
        self, path: str, status: int, quoted: str, *, wished_s: float | None = None
    ) -> Transient | Permanent | None:
        """Return what a status means, None for success; a conflict is an id that was delivered before.

        A key that is not taken is no fault of what is said: it waits until an operator has mended the key.
        """
        name = self._system.name
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.CONFLICT:
            return None
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in AGAIN_LATER:
            return self._system.unavailable(f"{name} answered {path} with {status}", retry_after_s=wished_s)
        if status in WRONG_KEY:
            message = f"{name} does not take our key for {path} ({status}): check {self._system.key_setting}"
            log.error("%s", message)
            return self._system.unavailable(message, retry_after_s=wished_s)
        context = {"answer": quoted, "status": str(status)}
        return self._system.refused(f"{name} rejected {path} with {status}", context=context)


def check_address(setting: str, address: str) -> None:
    """Look whether an address or a path can be asked for. Raises SettingsInvalid."""
    try:
        httpx.URL(address)
    except httpx.InvalidURL as error:
        raise SettingsInvalid([f"{setting} is no address: {error}"]) from error
