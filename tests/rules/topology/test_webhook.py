"""Who may tell that a pack has changed, and how it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Invalidation
from streams.errors import DeliveryFailed, SettingsInvalid, StartRefused
from streams.settings import DataForgeSettings
from tests.clock import FixedClock
from tests.given import NOON
from topology.embedded.ports import free_ports
from topology.webhook import MOST_BYTES, PATH, SIGNATURE, TOLERANCE_S, change, check, genuine, sign, webhook

SECRET = "a secret of some length"
BODY = b'{"context_pack_id": "pack-7", "bundle_hash": "v2"}'


class Announced:
    """Takes changes, or fails as told."""

    def __init__(self) -> None:
        self.changes: list[Invalidation] = []
        self.error: DeliveryFailed | None = None

    async def __call__(self, changed: Invalidation) -> None:
        if self.error is not None:
            raise self.error
        self.changes.append(changed)


@asynccontextmanager
async def served(announced: Announced, clock: FixedClock) -> AsyncIterator[str]:
    (port,) = free_ports(1)
    settings = DataForgeSettings(webhook_port=port, webhook_secret=SECRET)
    async with webhook(settings, announced, clock) as bound:
        yield f"http://127.0.0.1:{bound}{PATH}"


async def told(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, object]:
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_signed_change_is_announced(clock: FixedClock) -> None:
    announced = Announced()
    async with served(announced, clock) as url:
        status, said = await told(url, BODY, {SIGNATURE: sign(SECRET, BODY, clock.now())})

    assert (status, said) == (202, {"status": "accepted", "subject": "pack:pack-7"})
    assert announced.changes == [Invalidation(subject="pack:pack-7", version="v2", reason="updated", at=clock.now())]


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "nonsense",
        "t=,v1=",
        f"t={int(NOON.timestamp())}",
        f"t={int(NOON.timestamp())},v1=",
        sign("another secret of a length", BODY, NOON),
        sign(SECRET, BODY + b" ", NOON),
        sign(SECRET, BODY, NOON - timedelta(seconds=TOLERANCE_S + 1)),
        sign(SECRET, BODY, NOON + timedelta(seconds=TOLERANCE_S + 1)),
        sign(SECRET, BODY, NOON).replace("v1", "v0"),
        sign(SECRET, BODY, NOON).upper(),
    ],
)
async def test_nobody_without_the_secret_is_heard(clock: FixedClock, signature: str) -> None:
    announced = Announced()
    async with served(announced, clock) as url:
        status, said = await told(url, BODY, {SIGNATURE: signature})

    assert status == 401
    assert isinstance(said, dict)
    assert SECRET not in json.dumps(said)
    assert announced.changes == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'"pack-7"',
        b'{"context_pack_id": 7}',
        b'{"context_pack_id": ""}',
        b'{"context_pack_id": "a\\u0000"}',
        b'{"context_pack_id": "p", "more": 1}',
        b'{"context_pack_id": "p", "reason": "because"}',
        b'{"context_pack_id": "p", "bundle_hash": null}',
        json.dumps({"context_pack_id": "p" * 201}).encode(),
        b"[" * 10_000,
    ],
)
async def test_what_is_signed_but_says_something_else_is_refused(clock: FixedClock, body: bytes) -> None:
    announced = Announced()
    async with served(announced, clock) as url:
        status, _ = await told(url, body, {SIGNATURE: sign(SECRET, body, clock.now())})

    assert (status, announced.changes) == (422, [])


async def test_a_change_the_broker_did_not_take_is_to_be_told_again(clock: FixedClock) -> None:
    announced = Announced()
    announced.error = DeliveryFailed("no broker")
    async with served(announced, clock) as url:
        status, _ = await told(url, BODY, {SIGNATURE: sign(SECRET, BODY, clock.now())})

    assert status == 503


async def test_a_body_without_end_is_not_read(clock: FixedClock) -> None:
    body = b"x" * (MOST_BYTES + 1)
    async with served(Announced(), clock) as url, aiohttp.ClientSession() as session:
        async with session.post(url, data=body, headers={SIGNATURE: sign(SECRET, body, clock.now())}) as answer:
            assert answer.status == 413
        async with session.get(url) as answer:
            assert answer.status == 405


async def test_a_taken_port_refuses_the_start(clock: FixedClock) -> None:
    async with served(Announced(), clock) as url:
        settings = DataForgeSettings(webhook_port=int(url.split(":")[2].split("/")[0]), webhook_secret=SECRET)
        with pytest.raises(StartRefused, match="FORGESTREAM_DATAFORGE_WEBHOOK_PORT"):
            async with webhook(settings, Announced(), clock):
                await asyncio.sleep(0)


def test_a_webhook_without_a_proper_secret_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="at least 16"):
        check(DataForgeSettings(webhook_port=1, webhook_secret="short"))
    check(DataForgeSettings(webhook_port=0))


@given(st.text(max_size=80), st.binary(max_size=20))
def test_no_made_up_signature_is_genuine(signature: str, body: bytes) -> None:
    assert not genuine(SECRET, body, signature, NOON)


@given(st.binary(max_size=60))
def test_any_body_is_a_change_or_refused(body: bytes) -> None:
    try:
        changed = change(body, NOON)
    except ValueError:
        return
    assert changed.subject.startswith("pack:")
