"""What surrounds the pipeline in these tests, and how its behaviour is watched: in memory and on a real broker alike."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from schemas.records import Command, CommandAction, KnowledgeDocument, Origin, TextQuery
from streams.clients.answers import answers_of
from streams.clients.cache import ByteCache, LruCache
from streams.clients.hashing import Hashing
from streams.clients.memory_gate import MemoryGate
from streams.clients.memory_store import MemoryStore
from streams.errors import PipelineError
from streams.lanes import Received
from streams.packs import Pack, PackSource
from streams.ports import (
    Ask,
    ChunkStore,
    Clock,
    Encoder,
    FeedbackSink,
    Finish,
    Gate,
    Model,
    ModelSpec,
    Piece,
    Profiles,
    ProposalSink,
    Tokenizer,
    Vector,
)
from streams.producer import Headers
from streams.settings import (
    CacheSettings,
    DataForgeSettings,
    EngineSettings,
    KafkaSettings,
    RankSettings,
    RouteSettings,
    Settings,
    SophiaSettings,
    WatchSettings,
)
from streams.speech import Recognizer, SpeechEngine
from streams.topic import Topic
from tests.fakes.model import STOP, a_spec
from tests.fakes.ports import KnownResults, RememberedEffects
from tests.fakes.speech import PlainDecoder, ReadingRecognizer, WordsAnalyst
from tests.fakes.tokenizer import WordsTokenizer
from tests.given import NOON, PASSAGE, an_origin
from topology.outside import Outside
from topology.topics import Topics

R = TypeVar("R")
SETTINGS = Settings(
    kafka=KafkaSettings(partitions=2),
    engine=EngineSettings(retry_initial_s=0.01, retry_max_s=0.02, commit_interval_s=0.05, linger_ms=0.0),
    route=RouteSettings(explore_share=0.0, tries=1),
    cache=CacheSettings(exact="off"),
    rank=RankSettings(min_samples=2),
    watch=WatchSettings(failure_threshold=3),
    dataforge=DataForgeSettings(retry_initial_s=0.01, retry_max_s=0.02),
    sophia=SophiaSettings(retry_initial_s=0.01, retry_max_s=0.02),
)
FRANKENSTEIN = KnowledgeDocument(document_id="frankenstein", title="Frankenstein", text=PASSAGE, updated_at=NOON)


class Pipeline(Protocol):
    """All units at work."""

    @property
    def topics(self) -> Topics: ...

    @property
    def dead_letters(self) -> Sequence[Received]: ...

    async def put(self, topic: Topic[R], record: R) -> None: ...

    async def put_bytes(
        self, topic: Topic[Any], value: bytes | None, *, key: bytes | None = None, headers: Headers = ()
    ) -> None: ...

    async def settle(self) -> int: ...

    def records(self, topic: Topic[R]) -> list[R]: ...

    def stored(self, topic: Topic[Any]) -> Sequence[Received]: ...

    def table(self, name: str) -> Mapping[str, Any]: ...


Deploy = Callable[[Outside], AbstractAsyncContextManager[Pipeline]]


class HashingEncoder:
    """An `Encoder` in which texts are near when they share words. The first calls fail as told."""

    def __init__(self, *errors: PipelineError) -> None:
        self.model = Hashing.name
        self.dimension = Hashing.dimension
        self._errors = list(errors)

    async def encode(self, texts: Sequence[str]) -> Sequence[Vector]:
        if self._errors:
            raise self._errors.pop(0)
        return Hashing().vectors(texts)


class UnevenModel:
    """A `Model` that takes longer for some requests than for those after them, and says the question again."""

    def __init__(self, name: str = "uneven") -> None:
        self.spec: ModelSpec = a_spec(name)
        self.tokenizer: Tokenizer = WordsTokenizer()

    async def stream(self, ask: Ask) -> AsyncIterator[Piece | Finish]:
        for _ in range(sum(ask.request_id.encode()) * 7 % 11 * 4):
            await asyncio.sleep(0)
        yield Piece(text=ask.query)
        yield STOP


class CrashingModel(UnevenModel):
    """A `Model` with a bug."""

    async def stream(self, ask: Ask) -> AsyncIterator[Piece | Finish]:
        yield Piece(text="so")
        raise ZeroDivisionError("a bug of the provider")


def outside(
    *models: Model,
    clock: Clock,
    encoder: Encoder | None = None,
    store: ChunkStore | None = None,
    sink: FeedbackSink | None = None,
    packs: PackSource | None = None,
    pack_cache: ByteCache | None = None,
    static_packs: Mapping[str, Pack] | None = None,
    profiles: Profiles | None = None,
    proposal_sink: ProposalSink | None = None,
    recognizer: Recognizer | None = None,
    engines: Sequence[SpeechEngine] = (),
    gate: Gate | None = None,
) -> Outside:
    """Return the ports; what repeats topics is put in by whoever runs the units."""
    return Outside(
        clock=clock,
        encoder=encoder or HashingEncoder(),
        store=store or MemoryStore(Hashing.dimension),
        models=models,
        judges=models,
        tokenizer=models[0].tokenizer,
        window_tokens=min(model.spec.context_tokens for model in models),
        packs=packs,
        pack_cache=pack_cache or LruCache(most_entries=100, most_bytes=10_000_000, time=time.monotonic),
        invalidations={},
        static_packs=static_packs or {},
        profiles=profiles,
        feedback_sink=sink,
        proposal_sink=proposal_sink,
        decoder=PlainDecoder(),
        recognizer=recognizer or ReadingRecognizer(),
        engines=tuple(engines),
        analyst=WordsAnalyst(),
        champions={},
        circuits={},
        effects=RememberedEffects(),
        past=KnownResults(),
        attacks={},
        gate=gate or MemoryGate(window_s=60.0, duplicate_ms=0.0),
        answers=answers_of(Settings(), clock),
        history=None,
    )


def a_forget(subject: str) -> Command:
    """Return the order to forget a conversation."""
    return Command(
        command_id="c-1",
        subject=subject,
        action=CommandAction.FORGET,
        issued_by="tests",
        reason="asked to",
        at=NOON,
    )


def a_question(
    number: int,
    query: str = "Who wrote Frankenstein?",
    *,
    session_id: str | None = None,
    strict: bool = False,
    tenant: str = "default",
) -> TextQuery:
    """Return a question that can be told from all others by its number."""
    origin: Origin = replace(
        an_origin(f"request-{number}", session_id=session_id, tenant=tenant), deadline=NOON + timedelta(seconds=90)
    )
    return TextQuery(origin=origin, query=query, strict=strict)
