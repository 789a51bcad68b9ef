"""What is read becomes the story, whatever it carries."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from schemas.registry import LockedIds, serde
from streams.outbox import SENT_AT_HEADER, STAGE_HEADER
from streams.settings import KafkaSettings
from tests.rules.demo import samples
from topology.demo.observe import Observer, seen
from topology.demo.questions import text_query
from topology.reading import Read
from topology.topics import Topics

TOPICS = Topics.of(KafkaSettings())
FIRST = samples.ASKED[0]


def a_read(value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> Read:
    return Read(topic="texts", partition=3, offset=14, at=samples.NOW, key=None, value=value, headers=tuple(headers))


async def an_observer() -> tuple[Observer, bytes]:
    """Return an observer of `texts`, and the bytes of a question."""
    schemas = LockedIds()
    await schemas.start({"texts-value": TOPICS.texts.record})
    question = serde(schemas, "texts", TOPICS.texts.record).encode(text_query(FIRST, samples.NOW))
    return Observer(schemas, [TOPICS.texts]), question


async def records(*found: Read) -> AsyncGenerator[Read, None]:
    for record in found:
        yield record


def test_a_record_keeps_its_place_its_stage_and_the_moment_it_was_sent() -> None:
    event = seen(a_read(b"", [(STAGE_HEADER, b"admit"), (SENT_AT_HEADER, b"1234.500")]), "word")

    assert (event.record, event.stage, event.sent_at_ms) == ("word", "admit", 1234.5)
    assert (event.topic, event.partition, event.offset) == ("texts", 3, 14)


@pytest.mark.parametrize("headers", [[], [(SENT_AT_HEADER, b"soon")], [(SENT_AT_HEADER, b"")]])
def test_a_record_without_a_readable_moment_has_the_brokers(headers: Sequence[tuple[str, bytes]]) -> None:
    assert seen(a_read(b"", headers), "word").sent_at_ms == samples.START_MS


async def test_tombstones_and_bytes_that_are_no_record_are_passed_over() -> None:
    observer, question = await an_observer()

    await observer.follow(records(a_read(None), a_read(b"\xff"), a_read(b""), a_read(question)))

    assert list(observer.story.journeys) == [FIRST.request_id]


async def test_waiting_ends_when_the_story_tells_what_is_waited_for() -> None:
    observer, question = await an_observer()
    heard: list[object] = []
    waiting = asyncio.ensure_future(
        observer.until(lambda story: bool(story.journeys), within_s=30.0, moved=heard.append)
    )

    await observer.follow(records(a_read(question)))

    assert await waiting


async def test_waiting_ends_when_time_is_up() -> None:
    observer, _ = await an_observer()

    assert not await observer.until(lambda _: False, within_s=0.0, moved=lambda _: None)
