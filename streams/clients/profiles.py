"""Who somebody is, looked up over HTTP by session or user."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from string import Formatter
from urllib.parse import quote

import httpx

from schemas.records import Origin
from streams.clients.bounded import bounded
from streams.clients.cache import LruCache
from streams.clients.json_http import check_address
from streams.clients.single_flight import SingleFlight
from streams.errors import ProfileUnavailable, SettingsInvalid
from streams.settings import ProfileSettings

PLACEHOLDERS = ("session_id", "user_id", "tenant")
LONGEST = 1_000  # characters of a profile
MOST_BYTES = 65_536  # of an answer
MOST_KEPT = 10_000
MOST_KEPT_BYTES = 16 * 1024 * 1024
CONNECTIONS = 16


class HttpProfiles:
    """A `Profiles`. `time` is monotonic, in seconds."""

    def __init__(self, settings: ProfileSettings, *, time: Callable[[], float] = time.monotonic) -> None:
        self._url = settings.url
        self._named = _placeholders(settings.url)
        self._timeout_s = settings.timeout_s
        self._ttl_s = settings.ttl_s
        self._kept = LruCache(most_entries=MOST_KEPT, most_bytes=MOST_KEPT_BYTES, time=time)
        self._flights: SingleFlight[str] = SingleFlight()
        headers = {"Accept": "application/json"}
        if settings.token:
            headers["Authorization"] = f"Bearer {settings.token}"
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=settings.timeout_s,
            limits=httpx.Limits(max_connections=CONNECTIONS),
            trust_env=False,  # as for DataForge: the settings say where it is
        )

    async def start(self) -> None:
        """Nothing to open: connections are made by the first look-ups."""

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._http.aclose()

    async def known(self, origin: Origin) -> str | None:
        """Return what is known without asking; empty for somebody who has no profile, None when it must be looked up."""
        address = self._address(origin)
        if address is None:
            return ""
        found = await self._kept.get(address)
        return None if found is None else found.decode()

    async def of(self, origin: Origin) -> str:
        """Look the profile up; see `Profiles`."""
        address = self._address(origin)
        if address is None:
            return ""
        return (await self._flights.run(address, lambda: self._looked_up(address)))[0]

    def _address(self, origin: Origin) -> str | None:
        values = {name: getattr(origin, name) for name in self._named}
        if None in values.values():
            return None
        return self._url.format(**{name: quote(value, safe="") for name, value in values.items()})

    async def _looked_up(self, address: str) -> str:
        try:
            async with asyncio.timeout(self._timeout_s), self._http.stream("GET", address) as answer:
                too_long = ProfileUnavailable(f"a profile is longer than {MOST_BYTES:,} bytes")
                content = await bounded(answer, MOST_BYTES, too_long)
            status = answer.status_code
            if status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}:
                raise ProfileUnavailable(f"the profile service answered with {status}")
            profile = profile_of(json.loads(content)) if status == HTTPStatus.OK else ""
        except (httpx.HTTPError, TimeoutError) as error:
            raise ProfileUnavailable(f"the profile service did not answer ({type(error).__name__})") from error
        except (ValueError, RecursionError) as error:
            raise ProfileUnavailable("the profile service did not answer with JSON") from error
        await self._kept.put(address, profile.encode(), self._ttl_s)
        return profile


def profile_of(said: object) -> str:
    """Return a profile as a prompt shows it: the persona, then one line per field; cut at a space where it is too long."""
    if not isinstance(said, Mapping):
        return ""
    persona, fields = said.get("persona"), said.get("profile")
    lines = [persona.strip()] if isinstance(persona, str) else []
    if isinstance(fields, Mapping):
        lines += [f"{name}: {value}" for name, value in fields.items() if isinstance(value, str | int | float)]
    text = "\n".join(" ".join(line.split()) for line in lines if line.strip()).encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST else text[:LONGEST].rpartition(" ")[0] or text[:LONGEST]


def _placeholders(url: str) -> frozenset[str]:
    """Return what an address asks for. Raises SettingsInvalid."""
    name = "FORGESTREAM_PROFILE_URL"
    try:
        named = frozenset(field for _, field, _, _ in Formatter().parse(url) if field is not None)
    except ValueError:
        raise SettingsInvalid([f"{name} has a brace too many or too few"]) from None
    if not url.startswith(("http://", "https://")):
        raise SettingsInvalid([f"{name} must start with http:// or https://, not {url!r}"])
    if not named or not named <= set(PLACEHOLDERS):
        raise SettingsInvalid([f"{name} must name one or more of {', '.join(f'{{{each}}}' for each in PLACEHOLDERS)}"])
    check_address(name, url.format(**dict.fromkeys(named, "x")))
    return named
