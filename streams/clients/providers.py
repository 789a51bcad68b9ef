"""From settings to clients: which class stands behind a name is known here and nowhere else."""

import os
from pathlib import Path
from typing import Protocol

from streams.clients.batching import BatchedEncoder, EmbeddingModel
from streams.clients.hashing import Hashing
from streams.errors import SettingsInvalid
from streams.ports import ChunkStore, Encoder, FeedbackSink, Gate
from streams.settings import DataForgeSettings, EmbedSettings, Settings, StoreSettings


class Lifecycle(Protocol):
    """What every client with something to open has."""

    async def start(self) -> None:
        """Open, load, warm."""

    async def close(self) -> None:
        """Give everything back; safe to call twice."""


class OwnedEncoder(Encoder, Lifecycle, Protocol):
    """An encoder and its life."""


class OwnedStore(ChunkStore, Lifecycle, Protocol):
    """A store and its life."""


class OwnedGate(Gate, Lifecycle, Protocol):
    """A gate and its life."""


class OwnedSink(FeedbackSink, Lifecycle, Protocol):
    """A receiver of feedback and its life."""


def encoder_of(settings: EmbedSettings, cache_dir: Path) -> OwnedEncoder:
    """The encoder named by the settings, not yet loaded; `cache_dir` keeps converted weights."""
    return BatchedEncoder(_embedding_model(settings, cache_dir), settings)


def _embedding_model(settings: EmbedSettings, cache_dir: Path) -> EmbeddingModel:
    if settings.provider == "minilm":
        from streams.clients.minilm import MiniLm  # noqa: PLC0415 - CTranslate2 is loaded only where it is used

        return MiniLm(settings, cache_dir)
    if settings.provider == "sentence-transformers":
        from streams.clients.sentence_transformer import SentenceTransformerModel  # noqa: PLC0415 - as above

        return SentenceTransformerModel(settings)
    if settings.provider == "hashing":
        return Hashing()
    raise SettingsInvalid([f"FORGESTREAM_EMBED_PROVIDER: {settings.provider!r} is unknown"])


def store_of(settings: StoreSettings, data_dir: Path, dimension: int) -> OwnedStore:
    """The vector store named by the settings, not yet opened; an empty address is a file in `data_dir`."""
    if settings.uri == "memory":
        from streams.clients.memory_store import MemoryStore  # noqa: PLC0415 - beside its rival

        return MemoryStore(dimension)
    from streams.clients.milvus import MilvusStore  # noqa: PLC0415 - pymilvus takes half a second to import

    uri = settings.uri or str(data_dir / "chunks.db")
    if "://" not in uri and not uri.endswith(".db"):
        uri += ".db"  # pymilvus knows a file by its ending
    return MilvusStore(settings, uri if "://" in uri else os.fspath(Path(uri).absolute()), dimension)


def sink_of(settings: DataForgeSettings) -> OwnedSink | None:
    """DataForge when the settings say where it is; without it feedback stays on its topic. Raises SettingsInvalid."""
    if not settings.url:
        return None
    from streams.clients.dataforge import DataForge  # noqa: PLC0415 - loaded only where it is used

    return DataForge(settings)


def gate_of(settings: Settings) -> OwnedGate:
    """The gate of all workers when a Redis is named, else one of this process. Raises SettingsInvalid."""
    window_s, duplicate_ms = settings.admit.window_s, settings.admit.duplicate_ms
    if not settings.redis.url:
        from streams.clients.memory_gate import MemoryGate  # noqa: PLC0415 - beside its rival

        return MemoryGate(window_s=window_s, duplicate_ms=duplicate_ms)
    from streams.clients.redis_gate import RedisGate  # noqa: PLC0415 - loaded only where it is used

    return RedisGate(settings.redis, window_s=window_s, duplicate_ms=duplicate_ms)
