"""What stages ask of the outside: protocols and the values they exchange. `streams.clients` implements them; tests fake them."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from schemas.records import Chunk, Domain, Effect, Feedback, Origin, RateLimit, Result, SophiaProposal, Turn
from streams.errors import PipelineError

Vector = tuple[float, ...]


class Clock(Protocol):
    """The one source of the present; a replay and the tests bring their own."""

    def now(self) -> datetime:
        """Return the time, UTC."""


class Encoder(Protocol):
    """Texts to unit vectors."""

    model: str
    dimension: int

    async def encode(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one vector per text, in order; calls under way at the same time share batches.

        Raises:
            ProviderUnavailable: the model cannot answer now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """A passage as the vector store keeps it."""

    chunk_id: str
    document_id: str
    title: str
    text: str
    domain: Domain
    tenant: str
    position: int
    vector: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChunk:
    """A passage near a vector; `similarity` is the cosine."""

    chunk_id: str
    document_id: str
    title: str
    text: str
    domain: Domain
    similarity: float


class ChunkStore(Protocol):
    """The vector store."""

    async def replace(self, document_id: str, chunks: Sequence[StoredChunk]) -> None:
        """Make `chunks` the whole of the document: upsert them, delete leftovers of an earlier version.

        Raises:
            StoreUnavailable: the store did not answer in time.
        """

    async def delete(self, document_id: str) -> None:
        """Forget the document; unknown ids are fine. Raises StoreUnavailable."""

    async def search(self, vector: Vector, *, limit: int, tenant: str) -> Sequence[FoundChunk]:
        """Return the nearest chunks of the tenant, nearest first. Raises StoreUnavailable."""


class RebuildableStore(ChunkStore, Protocol):
    """A vector store that can be filled anew."""

    async def replace_all(self, documents: Mapping[str, Sequence[StoredChunk]]) -> int:
        """Replace many documents, written out together; return how many chunks the store confirmed, which is all of them.

        Raises:
            StoreUnavailable: it did not confirm everything in time; what it has of it does no harm.
        """

    async def documents(self) -> Collection[str]:
        """Return the ids of all documents in it. Raises StoreUnavailable."""


class Tokenizer(Protocol):
    """Counts tokens the way a model does."""

    name: str

    def count(self, text: str) -> int:
        """Return the number of tokens."""


TIERS = ("local", "economy", "standard", "premium")  # of models, each at least as good as the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model of the catalogue. `name` is ours, `id` the provider's own (empty: the same).

    A `reserve` is asked only where the chains for long prompts and for refusals name it.
    """

    name: str
    provider: str
    context_tokens: int
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0
    domains: tuple[Domain, ...] = tuple(Domain)
    id: str = ""
    tier: str = "standard"
    capabilities: frozenset[str] = frozenset()
    repeatable: bool = False  # asking again costs nobody anything and says the same: no call waits for its log
    reserve: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a model is asked. `chunks` and `query` are for providers that need no prompt, such as `extractive`.

    What `system` begins with in every ask of its kind is its `opening`, which a model may keep read.
    Where there are `choices`, the whole reply is to be one of them; a provider that cannot hold its model to that lets it write.
    `queue_s` is the longest wait for a turn where the calls of a model are limited; None waits as long as it takes.
    """

    request_id: str
    system: str
    user: str
    query: str
    chunks: tuple[Chunk, ...]
    max_tokens: int
    temperature: float
    opening: str = ""
    choices: tuple[str, ...] = ()
    queue_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Text as it is written."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The end of an answer; always the last thing a stream yields, exactly once."""

    finish_reason: str
    input_tokens: int
    output_tokens: int


class Model(Protocol):
    """A model of a provider. The contract is written out in docs/providers.md."""

    spec: ModelSpec
    tokenizer: Tokenizer

    def stream(self, ask: Ask) -> AsyncIterator[Piece | Finish]:
        """Yield pieces, then one `Finish`. Cancelling stops the model.

        Raises:
            ProviderUnavailable: try again or elsewhere.
            ProviderBusy: no turn came in time; the provider was not called.
            ProviderRefused: trying again here is useless; `ContentRefused` and `ContextOverflow` say why.
        """


class FeedbackSink(Protocol):
    """Whoever learns from answers: DataForge."""

    async def deliver(self, batch: Sequence[Feedback]) -> Sequence[PipelineError | None]:
        """Deliver some records, idempotent on `feedback_id`; return what became of each.

        None: it was taken. DataForgeUnavailable: try later. DataForgeRefused: it never will be taken.
        """


class ProposalSink(Protocol):
    """Whoever considers facts: Sophia."""

    async def deliver(self, batch: Sequence[SophiaProposal]) -> Sequence[PipelineError | None]:
        """Deliver some proposals, each under its own id; return what became of each.

        None: it was taken. SophiaUnavailable: try later. SophiaRefused: it never will be taken.
        """


class PastResults(Protocol):
    """The results of requests that have ended, as long as their topic keeps them."""

    async def find(self, origin: Origin) -> Result | None:
        """Return the result of a request; None when it is not there, or not there yet. Raises HistoryUnavailable, AnswerUnknown."""


class EffectMemory(Protocol):
    """What was done outside for records of the partition at hand, by this worker and by those before it."""

    async def find(self, effect_id: str) -> Effect | None:
        """Return what is known of an effect; the first look at a partition waits until its log has been read."""

    def keep(self, effect: Effect) -> None:
        """Remember an effect that has just been written to the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What one subject may ask within the window; 0 is no limit."""

    name: str
    subject: str
    requests: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request at the gate. Requests with one `fingerprint` ask the same; `tokens` are reserved for it."""

    request_id: str
    session_id: str | None
    tenant: str
    fingerprint: str
    tokens: int
    quotas: tuple[Quota, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What the gate says: a request asked before (`first_request_id`), a limit that is exceeded, or neither."""

    limits: tuple[RateLimit, ...] = ()
    exceeded: RateLimit | None = None
    first_request_id: str | None = None
    first_session_id: str | None = None


class Gate(Protocol):
    """Counts requests over a sliding window and knows those of a moment ago, for all workers together where it can."""

    async def enter(self, entry: Entry, at: datetime) -> Passage:
        """Count a request, unless a limit is exceeded or it repeats another; all or nothing, once per request id."""


class Profiles(Protocol):
    """Who somebody is, in words for a prompt."""

    async def known(self, origin: Origin) -> str | None:
        """Return what is known without asking; empty for somebody who has no profile, None when it must be looked up."""

    async def of(self, origin: Origin) -> str:
        """Look the profile up; empty for somebody who has none. Raises ProfileUnavailable."""


class History(Protocol):
    """What was said in a conversation before."""

    def before(self, origin: Origin) -> Sequence[Turn]:
        """Return the turns a request should know of, oldest first; none without a conversation."""
