"""The story of a run: the library is loaded, the questions are asked, what happened is judged."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.registry import SchemaSource
from streams.settings import Settings
from topology.contract import open_schemas
from topology.demo import library
from topology.demo.ask import Sender
from topology.demo.expect import Check, checks, settled
from topology.demo.journeys import Story
from topology.demo.observe import Observer
from topology.demo.questions import DEADLINE, NOT_A_RECORD, Asked, acts, scripted, text_query
from topology.demo.screen import Screen
from topology.reading import Span, open_reader
from topology.topics import Topics

LIBRARY_S = 60.0  # for all passages to be in the vector store
GRACE_S = 5.0  # beyond a request's deadline: its expiry is a result too
LEARNING_S = 10.0  # for standings, circuits and feedback to follow the last answer
SETTLE_S = 0.3  # a result too many would come right after


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run has at hand once everything is up."""

    settings: Settings
    topics: Topics
    sender: Sender
    observer: Observer
    screen: Screen


async def play(settings: Settings, screen: Screen) -> Sequence[Check]:
    """Load the library, ask the questions and judge; the units are running on `settings.kafka` already.

    Raises:
        DeliveryFailed: the broker did not take a record.
    """
    topics = Topics.of(settings.kafka)
    schemas = await open_schemas(settings.registry, topics)
    async with AsyncExitStack() as stack:
        observer = await _observed(stack, settings, topics, schemas)
        sender = await stack.enter_async_context(Sender(settings, schemas))
        run = Run(settings=settings, topics=topics, sender=sender, observer=observer, screen=screen)
        script = scripted()
        if await _load(run):
            await _ask(run, script)
        return await _judge(run, script)


async def _observed(stack: AsyncExitStack, settings: Settings, topics: Topics, schemas: SchemaSource) -> Observer:
    """Start to watch."""
    seen = [topic for topic in topics if topic.name not in {topics.knowledge.name, topics.commands.name}]
    observer = Observer(schemas, seen)
    everything = Span(from_beginning=True, follow=True)
    reader = await open_reader([topic.name for topic in seen], everything, settings.kafka)
    following = asyncio.create_task(observer.follow(reader.records()), name="demo-observer")

    async def stop() -> None:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    stack.push_async_callback(stop)
    return observer


async def _load(run: Run) -> bool:
    """Put the library on its topic and wait until it can be searched. False when it cannot: asking would be no use."""
    began = time.monotonic()
    documents = library.documents(datetime.now(UTC))
    for document in documents:
        run.sender.send(run.topics.knowledge, document)
    await run.sender.confirmed()

    def loaded(story: Story) -> int:
        return len(story.indexed & {f"document:{document.document_id}" for document in documents})

    await run.observer.until(
        lambda story: loaded(story) == len(documents),
        within_s=LIBRARY_S,
        moved=lambda story: run.screen.progress("loading the library", loaded(story), len(documents)),
    )
    done, seconds = loaded(run.observer.story), time.monotonic() - began
    run.screen.done(
        f"{done} of {len(documents)} passages split, embedded and in the vector store after {seconds:.1f} s",
        {"documents": done, "expected": len(documents), "seconds": round(seconds, 3)},
    )
    return done == len(documents)


async def _ask(run: Run, script: Sequence[Asked]) -> None:
    """Ask act by act: what is asked at once is on its way at once. Nothing more is asked when an act does not end."""
    run.sender.send_bytes(run.topics.texts, "not-a-record", NOT_A_RECORD)
    for act in acts(script):
        for one in act:
            run.sender.send(run.topics.texts, text_query(one, datetime.now(UTC)))
        if not await _watch(run, act):
            break


async def _watch(run: Run, act: Sequence[Asked]) -> bool:
    """Show the requests of an act until each has its result; False when there is no hope of one."""
    await run.sender.confirmed()
    answered = await run.observer.until(
        lambda story: all(story.journey(one.request_id).complete for one in act),
        within_s=DEADLINE.total_seconds() + GRACE_S,
        moved=lambda story: run.screen.watching(act, story),
    )
    for one in act:
        run.screen.ended(one, run.observer.story.journey(one.request_id))
    return answered


async def _judge(run: Run, script: Sequence[Asked]) -> Sequence[Check]:
    """Wait for what follows the answers, and compare everything with what was expected."""
    run.screen.doing("waiting for what the answers teach: champions, circuits, feedback")
    await run.observer.until(lambda story: settled(story, script), within_s=LEARNING_S, moved=lambda _: None)
    await asyncio.sleep(SETTLE_S)
    story = run.observer.story
    judged = checks(story, script)
    run.screen.judged(script, story, judged, run.settings)
    return judged
