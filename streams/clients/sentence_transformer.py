"""Any model of sentence-transformers; an extra of its own, because torch is large."""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streams.clients import minilm_conversion
from streams.errors import ModelMissing
from streams.ports import Vector
from streams.settings import EmbedSettings

INSTALL = "pip install sentence-transformers"


class SentenceTransformerModel:
    """An `EmbeddingModel` for `FORGESTREAM_EMBED_MODEL`: a folder, or a hub id that is already in the hub's cache.

    `dimension` is that of all-MiniLM-L6-v2 until `load` has seen the model; so load before a store is made for it.
    """

    def __init__(self, settings: EmbedSettings) -> None:
        self._source = settings.model
        self._threads = settings.threads
        self._loaded: Any = None
        self.name = Path(settings.model).name or "all-MiniLM-L6-v2"
        self.dimension = 384

    def load(self) -> None:
        """Import the library and load the weights; nothing is downloaded. Raises ModelMissing."""
        if self._loaded is not None:
            return
        if importlib.util.find_spec("sentence_transformers") is None:
            raise ModelMissing(f"the embedding provider sentence-transformers is not installed; run: {INSTALL}")
        library = importlib.import_module("sentence_transformers")
        importlib.import_module("torch").set_num_threads(self._threads)
        source = self._source or str(minilm_conversion.installed())
        try:
            self._loaded = library.SentenceTransformer(source, device="cpu", local_files_only=True)
        except (OSError, ValueError) as error:
            advice = "set FORGESTREAM_EMBED_MODEL to a folder, or put the model into the hub's cache first"
            raise ModelMissing(f"cannot load the embedding model {source}: {advice}") from error
        self.dimension = int(self._loaded.get_sentence_embedding_dimension())

    def close(self) -> None:
        """Nothing is open."""

    def vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text."""
        self.load()
        readable = [text.encode("utf-8", "replace").decode() for text in texts]
        found = self._loaded.encode(
            readable, batch_size=len(readable), normalize_embeddings=True, show_progress_bar=False
        )
        return [tuple(vector) for vector in found.tolist()]
