"""From settings to clients: which class stands behind a name is known here and nowhere else."""

import os
import time
from pathlib import Path
from typing import Protocol

from streams.clients.batching import BatchedEncoder, EmbeddingModel
from streams.clients.cache import ByteCache, LruCache
from streams.clients.hashing import Hashing
from streams.errors import SettingsInvalid
from streams.packs import PackSource
from streams.ports import Encoder, FeedbackSink, Gate, Profiles, ProposalSink, RebuildableStore
from streams.settings import (
    DataForgeSettings,
    EmbedSettings,
    ProfileSettings,
    Settings,
    SophiaSettings,
    StoreSettings,
)

MIB = 1024 * 1024


class Lifecycle(Protocol):
    """What every client with something to open has."""

    async def start(self) -> None:
        """Open, load, warm."""

    async def close(self) -> None:
        """Give everything back; safe to call twice."""


class OwnedEncoder(Encoder, Lifecycle, Protocol):
    """An encoder and its life."""


class OwnedStore(RebuildableStore, Lifecycle, Protocol):
    """A store and its life."""


class OwnedGate(Gate, Lifecycle, Protocol):
    """A gate and its life."""


class OwnedSink(FeedbackSink, Lifecycle, Protocol):
    """A receiver of feedback and its life."""


class OwnedPacks(PackSource, Lifecycle, Protocol):
    """A source of packs and its life."""


class OwnedProfiles(Profiles, Lifecycle, Protocol):
    """Profiles and their life."""


class OwnedCache(ByteCache, Lifecycle, Protocol):
    """A cache and its life."""


class OwnedProposalSink(ProposalSink, Lifecycle, Protocol):
    """A receiver of proposals and its life."""


def encoder_of(settings: EmbedSettings, cache_dir: Path) -> OwnedEncoder:
    """The encoder named by the settings, not yet loaded; `cache_dir` keeps converted weights."""
    return BatchedEncoder(_embedding_model(settings, cache_dir), settings)


def _embedding_model(settings: EmbedSettings, cache_dir: Path) -> EmbeddingModel:
    if settings.provider == "minilm":
        from streams.clients.minilm import MiniLm  # noqa: PLC0415 - CTranslate2 is loaded only where it is used

        return MiniLm(settings, cache_dir)
    if settings.provider == "minilm-openvino":
        from streams.clients.minilm_openvino import MiniLmOpenVino  # noqa: PLC0415 - as above

        return MiniLmOpenVino(settings)
    if settings.provider == "sentence-transformers":
        from streams.clients.sentence_transformer import SentenceTransformerModel  # noqa: PLC0415 - as above

        return SentenceTransformerModel(settings)
    if settings.provider == "openai":
        from streams.clients.openai_embeddings import OpenAiEmbeddings  # noqa: PLC0415 - as above

        return OpenAiEmbeddings(settings)
    if settings.provider == "hashing":
        return Hashing()
    raise SettingsInvalid([f"FORGESTREAM_EMBED_PROVIDER: {settings.provider!r} is unknown"])


def store_of(settings: StoreSettings, data_dir: Path, dimension: int, model: str = "") -> OwnedStore:
    """The vector store named by the settings, not yet opened; an empty address is a file in `data_dir`.

    It refuses a collection with vectors of another `model`.
    """
    if settings.uri == "memory":
        from streams.clients.memory_store import MemoryStore  # noqa: PLC0415 - beside its rival

        return MemoryStore(dimension)
    from streams.clients.milvus import MilvusStore  # noqa: PLC0415 - pymilvus takes half a second to import

    uri = settings.uri or str(data_dir / "chunks.db")
    if "://" not in uri and not uri.endswith(".db"):
        uri += ".db"  # pymilvus knows a file by its ending
    return MilvusStore(settings, uri if "://" in uri else os.fspath(Path(uri).absolute()), dimension, model)


def sink_of(settings: DataForgeSettings) -> OwnedSink | None:
    """DataForge when the settings say where it is; without it feedback stays on its topic. Raises SettingsInvalid."""
    if not settings.url:
        return None
    from streams.clients.dataforge import DataForge  # noqa: PLC0415 - loaded only where it is used

    return DataForge(settings)


def packs_of(settings: DataForgeSettings) -> OwnedPacks | None:
    """Packs of DataForge when the settings say where it is. Raises SettingsInvalid."""
    if not settings.url:
        return None
    from streams.clients.dataforge_packs import DataForgePacks  # noqa: PLC0415 - loaded only where it is used

    return DataForgePacks(settings)


def pack_cache_of(settings: Settings) -> OwnedCache:
    """The cache of packs that all workers share when a Redis is named, else one of this process."""
    dataforge, most_bytes = settings.dataforge, int(settings.dataforge.pack_mb * MIB)
    if not settings.redis.url:
        entries = 2 * dataforge.packs  # beside each pack lies where it is
        return LruCache(most_entries=entries, most_bytes=int(dataforge.packs_mb * MIB), time=time.monotonic)
    from streams.clients.cache_redis import RedisCache  # noqa: PLC0415 - loaded only where it is used

    return RedisCache(
        settings.redis.url,
        prefix=f"forgestream:{settings.kafka.topic_prefix}",
        timeout_s=settings.redis.timeout_s,
        most_bytes=most_bytes,
        time=time.monotonic,
    )


def profiles_of(settings: ProfileSettings) -> OwnedProfiles | None:
    """Who looks profiles up when the settings say where. Raises SettingsInvalid."""
    if not settings.url:
        return None
    from streams.clients.profiles import HttpProfiles  # noqa: PLC0415 - loaded only where it is used

    return HttpProfiles(settings)


def proposal_sink_of(settings: SophiaSettings) -> OwnedProposalSink | None:
    """Sophia when the settings say where it is; without it proposals stay on their topic. Raises SettingsInvalid."""
    if not settings.url:
        return None
    from streams.clients.sophia import Sophia  # noqa: PLC0415 - loaded only where it is used

    return Sophia(settings)


def gate_of(settings: Settings) -> OwnedGate:
    """The gate of all workers when a Redis is named, else one of this process. Raises SettingsInvalid."""
    window_s, duplicate_ms = settings.admit.window_s, settings.admit.duplicate_ms
    if not settings.redis.url:
        from streams.clients.memory_gate import MemoryGate  # noqa: PLC0415 - beside its rival

        return MemoryGate(window_s=window_s, duplicate_ms=duplicate_ms)
    from streams.clients.redis_gate import RedisGate  # noqa: PLC0415 - loaded only where it is used

    return RedisGate(settings.redis, window_s=window_s, duplicate_ms=duplicate_ms)
