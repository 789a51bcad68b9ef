"""The story of a run: the library is loaded, the acts are played one after the other, what happened is judged."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime

from schemas.registry import SchemaSource
from streams.settings import Settings
from topology.contract import open_schemas
from topology.demo import library
from topology.demo.act import Act, Run
from topology.demo.ask import Sender
from topology.demo.expect import Check, consequences, settled
from topology.demo.journeys import Story
from topology.demo.neighbours import Neighbours
from topology.demo.observe import Observer
from topology.demo.questions import NOT_A_RECORD
from topology.demo.screen import Screen
from topology.reading import Span, open_reader
from topology.topics import Topics

LIBRARY_S = 60.0  # for all passages to be in the vector store
LEARNING_S = 10.0  # for standings, circuits and feedback to follow the last answer
SETTLE_S = 0.3  # a result too many would come right after


async def play(settings: Settings, neighbours: Neighbours, acts: Sequence[Act], screen: Screen) -> Sequence[Check]:
    """Load the library, play the acts and judge; the units are running on `settings.kafka` already.

    Raises:
        DeliveryFailed: the broker did not take a record.
    """
    topics = Topics.of(settings.kafka)
    schemas = await open_schemas(settings.registry, topics)
    async with AsyncExitStack() as stack:
        observer = await _observed(stack, settings, topics, schemas)
        sender = await stack.enter_async_context(Sender(settings, schemas))
        run = Run(
            settings=settings, topics=topics, sender=sender, observer=observer, screen=screen, neighbours=neighbours
        )
        if not await _load(run):
            return await _judged(run, [], [Check(name="the library is loaded", met=False)])
        run.sender.send_bytes(topics.texts, "not-a-record", NOT_A_RECORD)
        played: list[Act] = []
        judged: list[Check] = []
        for act in acts:
            if why := act.missing(run):
                screen.done(f"{act.title}: left out, since {why}", {"act": act.name, "missing": why})
                continue
            screen.act(act.name, act.title, act.about)
            played.append(act)
            judged += await act.play(run)
            if any(journey.results == 0 for journey in run.story.journeys.values()):
                break  # what was asked next would wait as long
        return await _judged(run, played, judged)


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
    done, seconds = loaded(run.story), time.monotonic() - began
    run.screen.done(
        f"{done} of {len(documents)} passages split, embedded and in the vector store after {seconds:.1f} s",
        {"documents": done, "expected": len(documents), "seconds": round(seconds, 3)},
    )
    return done == len(documents)


async def _judged(run: Run, played: Sequence[Act], judged: Sequence[Check]) -> Sequence[Check]:
    """Wait for what follows the answers, and show it with everything that was judged."""
    run.screen.doing("waiting for what the answers teach: champions, circuits, feedback")
    await run.observer.until(settled, within_s=LEARNING_S, moved=lambda _: None)
    await asyncio.sleep(SETTLE_S)
    checks = [*judged, *consequences(run.story)]
    run.screen.judged([asked for act in played for asked in act.script], run.story, checks, run.settings)
    return checks
