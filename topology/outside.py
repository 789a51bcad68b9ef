"""Everything stages ask of the outside, and the one place that knows which client stands behind a port."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from agents.compose.adapters import opening
from schemas.records import Attack, CircuitState, Domain, Invalidation, Ranking, Task
from streams.answers import AnswerMemory
from streams.clients.answers import answers_of
from streams.clients.cache import ByteCache
from streams.clients.models.registry import OwnedModel, judges_of, models_of
from streams.clients.providers import (
    Lifecycle,
    encoder_of,
    gate_of,
    pack_cache_of,
    packs_of,
    profiles_of,
    proposal_sink_of,
    sink_of,
    store_of,
)
from streams.clients.static_packs import static_packs
from streams.clock import SystemClock
from streams.language import Analyst
from streams.packs import SUBJECT, Pack, PackSource
from streams.ports import (
    ChunkStore,
    Clock,
    EffectMemory,
    Encoder,
    FeedbackSink,
    Gate,
    History,
    Model,
    PastResults,
    Profiles,
    ProposalSink,
    Tokenizer,
)
from streams.settings import Settings
from streams.speech import Decoder, Recognizer, SpeechEngine
from streams.topic import Topic
from topology.together import together
from topology.topics import Topics
from topology.voice import voice

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The ports of every stage. `tokenizer` is that of the first model, `window_tokens` the smallest window of all."""

    clock: Clock
    encoder: Encoder
    store: ChunkStore
    models: tuple[Model, ...]
    judges: tuple[Model, ...]
    tokenizer: Tokenizer
    window_tokens: int
    packs: PackSource | None
    pack_cache: ByteCache
    invalidations: Mapping[str, Invalidation]
    static_packs: Mapping[str, Pack]
    profiles: Profiles | None
    feedback_sink: FeedbackSink | None
    proposal_sink: ProposalSink | None
    decoder: Decoder
    recognizer: Recognizer
    engines: tuple[SpeechEngine, ...]
    analyst: Analyst
    champions: Mapping[str, Ranking]
    circuits: Mapping[str, CircuitState]
    effects: EffectMemory
    past: PastResults
    attacks: Mapping[str, Attack]
    gate: Gate
    answers: AnswerMemory
    history: History | None
    """None where stage `remember` keeps conversations; a replay tells them itself."""


class Port:
    """Stands where nothing is connected: while the graph is drawn, and for what the units of a process do not use."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __iter__(self) -> "Port":
        """Look empty to whoever takes stock at the start."""
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - never returns
        """End at once."""
        raise StopIteration


def views(topics: Topics) -> Mapping[str, Topic[Any]]:
    """Return the ports that are views, with the compacted topics they repeat."""
    return {
        "champions": topics.standings,
        "circuits": topics.circuit_states,
        "attacks": topics.attacks,
        "invalidations": topics.invalidations,
    }


# Of these views only keys that begin like this are kept: documents change far more often than anybody asks for them.
VIEWED: Mapping[str, str] = {"invalidations": SUBJECT}


def looked_up(topics: Topics) -> Mapping[str, Topic[Any]]:
    """Return every port through which a stage knows a topic that it does not read record by record."""
    return {**views(topics), "effects": topics.effects, "past": topics.results}


def unconnected() -> Outside:
    """Return an outside in which every port is an empty one of its own."""
    ports: dict[str, Any] = {declared.name: Port(declared.name) for declared in fields(Outside)}
    return Outside(**(ports | {"history": None}))


@asynccontextmanager
async def open_outside(
    settings: Settings,
    *,
    uses: Collection[str],
    data_dir: Path,
    cache_dir: Path,
    tell: Tell,
) -> AsyncIterator[Outside]:
    """Load what the ports in `uses` need, all at the same time, and close it at the end. What repeats topics is connected later.

    Raises:
        StartRefused: a model is missing, a store cannot be opened.
    """
    ports: dict[str, Any] = {declared.name: Port(declared.name) for declared in fields(Outside)}
    ports |= {"clock": SystemClock(), "feedback_sink": None, "proposal_sink": None, "packs": None, "profiles": None}
    ports["history"] = None
    ports["static_packs"] = static_packs(settings.retrieve.static_packs) if "static_packs" in uses else {}
    async with AsyncExitStack() as owned:

        async def start(name: str, client: Lifecycle) -> None:
            owned.push_async_callback(client.close)
            began = time.monotonic()
            await client.start()
            tell(f"{name} ready after {time.monotonic() - began:.1f} s")

        async def search() -> None:
            if {"encoder", "store"} & set(uses):
                encoder = ports["encoder"] = encoder_of(settings.embed, cache_dir)
                await start(f"embedding model {encoder.model}", encoder)
                if "store" in uses:  # its width is known only now
                    store = ports["store"] = store_of(settings.store, data_dir, encoder.dimension, encoder.model)
                    await start("vector store", store)

        async def answer() -> None:
            if {"models", "tokenizer", "window_tokens"} & set(uses):
                models = models_of(settings.route, cache_dir, opening(Domain.GENERAL, Task.ANALYSIS))
                judges: tuple[OwnedModel, ...] = ()
                ports["models"], ports["tokenizer"] = models, models[0].tokenizer
                competing = [model.spec for model in models if not model.spec.reserve]
                ports["window_tokens"] = min(spec.context_tokens for spec in competing)
                if "judges" in uses:
                    ports["judges"] = judges = judges_of(settings.route, settings.evaluate.judge, models, cache_dir)
                opened = (*models, *(judge for judge in judges if judge not in models))
                if "models" in uses:
                    await together(*(start(f"language model {model.spec.name}", model) for model in opened))

        async def connect() -> None:
            clients = _clients(settings, uses)
            ports.update({port: client for port, (_, client) in clients.items()})
            await together(*(start(name, client) for name, client in clients.values() if client is not None))

        await together(search(), answer(), connect(), *voice(settings, uses, ports, start))
        yield Outside(**ports)


def _clients(settings: Settings, uses: Collection[str]) -> Mapping[str, tuple[str, Lifecycle | None]]:
    """Return the clients that need nothing but their settings, by port, with their names."""
    clients: dict[str, tuple[str, Lifecycle | None]] = {}
    if "feedback_sink" in uses:
        clients["feedback_sink"] = "DataForge client", sink_of(settings.dataforge)
    if "packs" in uses:
        clients["packs"] = "DataForge packs", packs_of(settings.dataforge)
        clients["pack_cache"] = "cache of packs", pack_cache_of(settings)
        clients["profiles"] = "profiles", profiles_of(settings.profile)
    if "proposal_sink" in uses:
        clients["proposal_sink"] = "Sophia client", proposal_sink_of(settings.sophia)
    if "gate" in uses:
        clients["gate"] = "gate of admission", gate_of(settings)
    if "answers" in uses:
        clients["answers"] = "answers given before", answers_of(settings)
    return clients
