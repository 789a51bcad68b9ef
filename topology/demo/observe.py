"""Watching from outside: every record of some topics, decoded and folded into the story while it happens."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from schemas.codec import RecordUndecodable
from schemas.registry import SchemaSource
from streams.outbox import SENT_AT_HEADER, STAGE_HEADER
from streams.topic import Topic
from topology.demo.journeys import Seen, Story, after
from topology.reading import Decoder, Read


class Observer:
    """Keeps the story up to date."""

    def __init__(self, schemas: SchemaSource, topics: Sequence[Topic[Any]]) -> None:
        self._decoder = Decoder(schemas, topics)
        self._moved = asyncio.Event()
        self.story = Story()

    async def follow(self, records: AsyncGenerator[Read, None]) -> None:
        """Fold records until cancelled. What is no record of its topic is passed over: a stage deals with it."""
        async with aclosing(records):
            async for found in records:
                try:
                    record = await self._decoder.record(found)
                except RecordUndecodable:
                    continue
                if record is not None:
                    self.story = after(self.story, seen(found, record))
                    self._moved.set()

    async def until(self, told: Callable[[Story], bool], *, within_s: float, moved: Callable[[Story], None]) -> bool:
        """Wait until the story tells something; `moved` is called whenever there is news. False when time is up."""
        try:
            async with asyncio.timeout(within_s):
                while not told(self.story):
                    moved(self.story)
                    await self._moved.wait()
                    self._moved.clear()
        except TimeoutError:
            return False
        return True


def seen(found: Read, record: object) -> Seen:
    """Return what the story needs of a record; the broker's time where its sender stamped none."""
    headers: Mapping[str, str] = {name: content.decode("utf-8", "replace") for name, content in found.headers}
    return Seen(
        topic=found.topic,
        partition=found.partition,
        offset=found.offset,
        record=record,
        stage=headers.get(STAGE_HEADER, ""),
        sent_at_ms=_number(headers.get(SENT_AT_HEADER, "")) or found.at.timestamp() * 1000,
        headers=headers,
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
