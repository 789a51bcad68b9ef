"""Vectors from OpenAI, or from any server that speaks its embeddings API."""

import math
from collections.abc import Sequence

import httpx2
import openai

from streams.clients.models.complaints import failure
from streams.clients.models.sdk import DAMAGED, LOST, complaint_of, damaged, lost
from streams.errors import ModelMissing, PipelineError, ProviderUnavailable
from streams.ports import Vector
from streams.settings import EmbedSettings

MODEL = "text-embedding-3-small"
OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"  # the SDK will not send nothing; servers that need no key ignore it
MOST_BYTES = 8_000  # of one text: no more tokens than that, and every model takes them


class OpenAiEmbeddings:
    """An `EmbeddingModel` behind HTTP. Its dimension is known once `load` has asked for a vector."""

    def __init__(self, settings: EmbedSettings) -> None:
        self.name = settings.model or MODEL
        self.dimension = 0
        self._url = settings.url or OPENAI
        self._client = openai.OpenAI(
            api_key=settings.key or NO_KEY,
            base_url=self._url,
            max_retries=0,
            timeout=settings.timeout_s,
            # a redirect would carry the key elsewhere, and the shell's proxies are not ours
            http_client=httpx2.Client(timeout=settings.timeout_s, follow_redirects=False, trust_env=False),
        )
        self._client.organization = self._client.project = None  # the SDK takes them from the shell

    def load(self) -> None:
        """Ask for one vector. Raises ModelMissing."""
        if self.dimension:
            return
        try:
            self.dimension = len(self._vectors(["Ready."])[0])
        except PipelineError as error:
            advice = "check FORGESTREAM_EMBED_URL, FORGESTREAM_EMBED_KEY and FORGESTREAM_EMBED_MODEL"
            raise ModelMissing(f"no vectors from {self._url}: {error.message}; {advice}") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text. Raises ProviderUnavailable, ProviderRefused, ModelMissing."""
        self.load()
        found = self._vectors(texts)
        if any(len(vector) != self.dimension for vector in found):
            raise ProviderUnavailable(f"{self.name} answered vectors that have not {self.dimension:,} dimensions")
        return found

    def _vectors(self, texts: Sequence[str]) -> Sequence[Vector]:
        said = [_cut(text) for text in texts]
        try:
            answer = self._client.embeddings.create(model=self.name, input=said, encoding_format="float")
            in_order = sorted(answer.data, key=lambda one: one.index)
            if [one.index for one in in_order] != list(range(len(said))):
                raise ProviderUnavailable(f"{self.name} answered {len(in_order)} vectors for {len(said)} texts")
            return [_unit(one.embedding) for one in in_order]
        except openai.OpenAIError as error:
            raise failure(self.name, complaint_of(error)) from None
        except LOST as error:
            raise failure(self.name, lost(error)) from None
        except DAMAGED as error:
            raise failure(self.name, damaged(error)) from None


def _cut(text: str) -> str:
    """Return what is sent of a text; of an empty one a space, since servers refuse nothing at all."""
    return text.encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore") or " "


def _unit(vector: Sequence[float]) -> Vector:
    length = math.hypot(*vector)
    if not 0.0 < length < math.inf:
        raise ValueError("a vector without a direction")
    return tuple(value / length for value in vector)
