"""One variant of a replay: the same graph, in a namespace of its own that is thrown away at the end."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from schemas.codec import RecordUndecodable
from schemas.records import ReplayedRequest, Result
from schemas.registry import LockedIds, SchemaSource, serde
from streams.errors import WorkerStalled
from streams.producer import LibrdkafkaProducer
from streams.settings import (
    DataForgeSettings,
    KafkaSettings,
    ProfileSettings,
    ProposeSettings,
    RedisSettings,
    RegistrySettings,
    Settings,
    SophiaSettings,
    StoreSettings,
    TelemetrySettings,
)
from topology.cluster import Cluster, TopicPlan
from topology.contract import known_schemas, open_schemas, subjects
from topology.diagram import drawn
from topology.outside import Tell, open_outside, views
from topology.provision import plan_of, provision
from topology.reading import TO_THE_END, Decoder, open_reader
from topology.replay.answers import AnswerBook, RecordedEncoder, RecordedModel
from topology.replay.clock import EventClock
from topology.replay.conversations import Conversations
from topology.replay.flow import Flow, Namespace
from topology.replay.history import Historical, History, Survey
from topology.replay.journal import Journal
from topology.replay.learned import Learned, Snapshot
from topology.replay.order import Answers, Knowledge, Order, Variant
from topology.replay.topics import own_prefix, recorded_answers
from topology.topics import Topics
from topology.units import Unit
from topology.worker import working

WINDOW = 500  # requests between two moments at which champions and circuits change; bounds what is held in memory
ATTEMPT_BYTES = 3
UNUSED = frozenset({"analyst"})  # of the stages that run here those that use it get no records: nothing is proposed


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What all variants of a replay share."""

    settings: Settings
    order: Order
    name: str
    digest: str
    answers: Answers
    in_flight: int
    history: History
    survey: Survey
    seed: Snapshot
    cache_dir: Path
    tell: Tell


async def play(run: Run, number: int, variant: Variant, journal: Journal, on_done: Callable[[int], None]) -> None:
    """Run what the journal does not have yet. `on_done` is told how many requests are done, beginning with those.

    Raises:
        StartRefused: a model, the store or the cluster cannot be used.
        PipelineError: it was interrupted; what is in the journal stays.
    """
    learned = Learned(run.settings.rank, run.settings.watch, run.seed)
    conversations = Conversations(run.settings.remember, run.seed.sessions)
    done = await _relearned(learned, conversations, journal, run.survey.taken)
    on_done(done)
    if done == run.survey.taken:
        return
    clock = EventClock()
    counted = count(done + 1)
    async with _namespace(run, number, variant, learned, conversations, clock) as space:

        def ended(result: Result) -> None:
            clock.forget(result.origin.request_id)
            conversations.hear(result)
            on_done(next(counted))

        flow = Flow(space, in_flight=run.in_flight, ended=ended)

        async def feed() -> None:
            entry = getattr(space.topics, run.order.topic)  # one of ENTRIES
            async with aclosing(run.history.requests(run.survey)) as requests:
                async for window in _windows(requests, done):
                    finished = await flow.window(window, entry, variant, run.digest)
                    await journal.append(finished, space.producer)
                    learned.learn(finished)
                    conversations.expire(finished[-1].at)

        await _while_all_is_well(feed(), flow, space)


async def _while_all_is_well(feeding: Coroutine[Any, Any, None], flow: Flow, space: Namespace) -> None:
    """Feed; raise what ended a unit or the reading of results meanwhile."""
    fed, tailed, ended = (asyncio.ensure_future(work) for work in (feeding, flow.tail(), space.worker.wait()))
    try:
        await asyncio.wait((fed, tailed, ended), return_when=asyncio.FIRST_COMPLETED)
        if not fed.done():
            for watched in (tailed, ended):
                if watched.done():
                    watched.result()
            raise WorkerStalled("a unit of the replay stopped by itself; run the same command again to go on")
        fed.result()
    finally:
        flow.stop()
        for task in (fed, ended):
            task.cancel()
        await asyncio.gather(fed, tailed, ended, return_exceptions=True)


async def _relearned(learned: Learned, conversations: Conversations, journal: Journal, total: int) -> int:
    """Count the windows of an earlier start; returns where they end. One that was not wholly written is run again."""
    window: list[ReplayedRequest] = []
    done = 0
    async with aclosing(journal.read()) as entries:
        async for entry in entries:
            window.append(entry)
            if len(window) == WINDOW or entry.position + 1 == total:
                for heard in window:
                    conversations.hear(heard.result)
                learned.learn(window)
                conversations.expire(entry.at)
                done += len(window)
                window = []
    return done


async def _windows(requests: AsyncIterator[Historical], done: int) -> AsyncIterator[Sequence[Historical]]:
    window: list[Historical] = []
    async for request in requests:
        if request.position < done:
            continue
        window.append(request)
        if (request.position + 1) % WINDOW == 0:  # at the same places, also after an interruption
            yield window
            window = []
    if window:
        yield window


@asynccontextmanager
async def _namespace(
    run: Run, number: int, variant: Variant, learned: Learned, conversations: Conversations, clock: EventClock
) -> AsyncIterator[Namespace]:
    """Run the units of the order on topics of their own; at the end nothing of it is left but recorded answers."""
    prefix = f"{own_prefix(run.settings.kafka, run.name)}{number}-{secrets.token_hex(ATTEMPT_BYTES)}-"
    own = isolated(variant.settings(run.settings), run.order, prefix)
    topics = Topics.of(own.kafka)
    async with AsyncExitStack() as owned:
        folder = tempfile.TemporaryDirectory(prefix="forgestream-replay-", ignore_cleanup_errors=True)
        data_dir = Path(owned.enter_context(folder))
        units = run.order.units()
        uses = {port for stage in drawn(own).stages if stage.unit in units for port in stage.uses}
        opened = uses - UNUSED - ({"models"} if run.answers is Answers.RECORDED else set())
        outside = await owned.enter_async_context(
            open_outside(own, uses=opened, data_dir=data_dir, cache_dir=run.cache_dir, tell=run.tell)
        )
        producer = LibrdkafkaProducer(own.kafka, own.engine)
        owned.push_async_callback(producer.close, own.engine.delivery_timeout_s)
        book = await _book(run, data_dir, producer)
        owned.callback(book.close)
        models = tuple(RecordedModel(model, book, run.answers, clock) for model in outside.models)
        outside = replace(
            outside,
            clock=clock,
            encoder=RecordedEncoder(outside.encoder, book) if "encoder" in uses else outside.encoder,
            models=models,
            feedback_sink=None,
            proposal_sink=None,
            champions=learned.champions,
            circuits=learned.circuits,
            history=conversations,
            attacks={},  # questions that were admitted then are not refused for what was learned since
            invalidations={},
        )
        schemas = await open_schemas(own.registry, topics)
        await provision([_kept(plan_of(topic, own.kafka)) for topic in topics], own.kafka)
        owned.push_async_callback(remove, run.settings.kafka, prefix)
        kept_out = set(views(topics)) | {"feedback_sink", "proposal_sink"}
        worker = await owned.enter_async_context(
            working(own, units, outside, uses=uses - kept_out, data_dir=data_dir, tell=lambda _: None)
        )
        space = Namespace(kafka=own.kafka, topics=topics, schemas=schemas, producer=producer, worker=worker)
        if Unit.DELIVERY in units:
            documents = await _know(run, space)
            run.tell(
                f"{variant.name}: {documents:,} documents of the knowledge topic are indexed for this replay alone"
            )
        yield space
        book.check()


def isolated(settings: Settings, order: Order, prefix: str) -> Settings:
    """Return the settings with which nothing outside is written to: own topics and groups, own vectors, no telemetry."""
    store = settings.store
    if order.knowledge is Knowledge.TOPIC and store.uri != "memory":
        store = StoreSettings(timeout_s=store.timeout_s)  # a file that is thrown away
    return replace(
        settings,
        kafka=replace(settings.kafka, topic_prefix=prefix),
        registry=RegistrySettings(),
        store=store,
        dataforge=DataForgeSettings(),
        profile=ProfileSettings(),
        propose=ProposeSettings(answers="off"),
        sophia=SophiaSettings(),
        redis=RedisSettings(),  # what a replay asks counts against nobody's limits
        cache=replace(settings.cache, exact="off", semantic="off"),  # every question is asked, as often as it was
        route=replace(settings.route, hedge_share=0.0),  # who is quicker today must decide nothing
        evaluate=replace(settings.evaluate, judge=""),  # a judge is a model too, and nobody outside is called
        telemetry=TelemetrySettings(log_level=settings.telemetry.log_level, log_format=settings.telemetry.log_format),
    )


async def remove(kafka: KafkaSettings, prefix: str, *, but: Collection[str] = ()) -> int:
    """Delete the topics and groups whose names begin with `prefix`; returns how many topics."""
    cluster = Cluster(kafka)
    names = [name for name in await cluster.topics() if name.startswith(prefix) and name not in but]
    await cluster.delete(names)
    await cluster.delete_groups(prefix)
    return len(names)


def _kept(plan: TopicPlan) -> TopicPlan:
    """Records keep their historical time: a topic that forgets by age would forget them at once."""
    config: dict[str, Any] = dict(plan.config)
    return replace(plan, config=config | ({"retention.ms": "-1"} if "retention.ms" in config else {}))


async def _book(run: Run, data_dir: Path, producer: LibrdkafkaProducer) -> AnswerBook:
    topic = recorded_answers(run.settings.kafka)
    ids: SchemaSource = LockedIds()
    await ids.start(subjects([topic]))
    book = AnswerBook(topic, serde(ids, topic.name, topic.record), producer, data_dir / "answers.sqlite")
    await book.read(await open_reader([topic.name], TO_THE_END, run.settings.kafka))
    return book


async def _know(run: Run, space: Namespace) -> int:
    """Let `index` take in the documents that were there when the range ended; returns how many records that were."""
    live = Topics.of(run.settings.kafka).knowledge
    if live.name not in await Cluster(run.settings.kafka).topics():
        return 0
    reader = await open_reader([live.name], TO_THE_END, run.settings.kafka)
    fed = 0
    own = space.topics.knowledge
    decoder, codec = Decoder(known_schemas(run.settings.registry), [live]), serde(space.schemas, own.name, own.record)
    async with aclosing(reader.records()) as records:
        async for found in records:
            if found.at >= run.order.end or found.key is None:
                continue
            with suppress(RecordUndecodable):  # it is a dead letter of the live pipeline too
                document = await decoder.record(found)
                value = (
                    None if document is None else codec.encode(document)
                )  # under our ids, whatever the registry's are
                space.producer.produce(own.name, value, found.key, on_delivery=lambda *_: None, headers=())
                fed += 1
    await _until_indexed(space, own.name, fed)
    return fed


async def _until_indexed(space: Namespace, topic: str, fed: int) -> None:
    engine = space.worker.apps[Unit.DELIVERY].engine
    while sum(mark for tp, mark in engine.watermarks().items() if tp.topic == topic) < fed:
        if space.worker.ailments():
            raise WorkerStalled("; ".join(space.worker.ailments()))
        await asyncio.sleep(0.02)
