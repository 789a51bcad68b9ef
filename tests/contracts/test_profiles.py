"""Profiles over HTTP, from a service that misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from streams.clients.profiles import LONGEST, HttpProfiles, profile_of
from streams.errors import ProfileUnavailable, SettingsInvalid
from streams.settings import ProfileSettings
from tests.given import an_origin
from tests.loopback.port import on_loopback

TALK = an_origin(session_id="talk/1")


@dataclass
class Service:
    """Knows one profile; answers as told."""

    url: str = ""
    status: int = 200
    body: str = json.dumps({"persona": "A  teacher.", "profile": {"level": "beginner", "tags": ["x"]}})
    silent: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.raw_path, request.headers.get("Authorization")))
        if self.silent:
            await asyncio.Event().wait()
        return web.Response(status=self.status, text=self.body)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    serving = Service()
    app = web.Application()
    app.router.add_get("/{any:.*}", serving.answer)
    async with on_loopback(app) as url:
        serving.url = f"{url}/of/{{tenant}}/{{session_id}}"
        yield serving


@pytest.fixture
async def profiles(service: Service) -> AsyncIterator[HttpProfiles]:
    client = HttpProfiles(ProfileSettings(url=service.url, token="secret-token", timeout_s=10))
    yield client
    await client.close()


async def test_a_profile_is_looked_up_once_and_then_known(service: Service, profiles: HttpProfiles) -> None:
    assert await profiles.known(TALK) is None

    found = await asyncio.gather(*(profiles.of(TALK) for _ in range(20)))

    assert set(found) == {"A teacher.\nlevel: beginner"}
    assert await profiles.known(TALK) == found[0]
    assert service.asked == [("/of/default/talk%2F1", "Bearer secret-token")]


async def test_without_a_session_nobody_is_asked(service: Service, profiles: HttpProfiles) -> None:
    assert await profiles.known(an_origin()) == ""
    assert await profiles.of(an_origin()) == ""
    assert service.asked == []


@pytest.mark.parametrize("status", [404, 204])
async def test_who_has_no_profile_is_not_asked_for_again(service: Service, profiles: HttpProfiles, status: int) -> None:
    service.status, service.body = status, ""

    assert await profiles.of(TALK) == ""
    assert await profiles.known(TALK) == ""


@pytest.mark.parametrize(
    ("status", "body"), [(500, "{}"), (302, "{}"), (200, "<html>"), (200, "[" * 50_000), (200, "x" * 70_000), (401, "")]
)
async def test_a_service_that_does_not_answer_properly_is_unavailable(
    service: Service, profiles: HttpProfiles, status: int, body: str
) -> None:
    service.status, service.body = status, body

    with pytest.raises(ProfileUnavailable) as raised:
        await profiles.of(TALK)

    assert "secret-token" not in str(raised.value)
    assert await profiles.known(TALK) is None


async def test_silence_ends_with_the_timeout(service: Service) -> None:
    client = HttpProfiles(ProfileSettings(url=service.url, timeout_s=0.1))
    service.silent = True

    with pytest.raises(ProfileUnavailable, match="did not answer"):
        await client.of(TALK)

    await client.close()


@pytest.mark.parametrize(
    "url",
    ["host/{session_id}", "http://host/", "http://host/{who}", "http://host/{session_id", "http://host:port/{user_id}"],
)
def test_an_address_that_asks_for_nobody_is_refused_at_start(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="FORGESTREAM_PROFILE_URL"):
        HttpProfiles(ProfileSettings(url=url))


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.dictionaries(st.sampled_from(["persona", "profile", "x"]), inner) | st.lists(inner),
    )
)
def test_any_answer_is_a_profile_of_bounded_length(said: object) -> None:
    assert len(profile_of(said)) <= LONGEST


def test_a_long_profile_is_cut_at_a_space() -> None:
    said = profile_of({"persona": "word " * 500})

    assert len(said) <= LONGEST
    assert said.endswith("word")


async def test_other_sessions_have_other_profiles(service: Service, profiles: HttpProfiles) -> None:
    await profiles.of(TALK)

    assert await profiles.known(replace(TALK, session_id="other")) is None
    assert await profiles.known(replace(TALK, tenant="acme")) is None
