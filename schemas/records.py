"""Every record that travels on a topic or rests in a table; the `.avsc` files are generated from these classes.

The first field of every record is `origin` wherever a request is concerned, so that who asked can be read even from
bytes whose rest is damaged. Records are frozen; sequences are tuples, maps are read-only by convention. Times are UTC,
to the millisecond. A record is made of its fields alone: the decoder calls no `__init__` and no `__post_init__`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated


@dataclass(frozen=True, slots=True)
class AtMost:
    """Most bytes, characters or items a field may have; the codec refuses more, both ways."""

    size: int


class Domain(StrEnum):
    """The field a request belongs to; with `Task` it names the cell in which models compete."""

    LITERARY = "literary"
    MARKET = "market"
    GENERAL = "general"


class Task(StrEnum):
    """What is wanted of the model."""

    ANALYSIS = "analysis"
    GENERATION = "generation"
    REASONING = "reasoning"


class Status(StrEnum):
    """How a request ended."""

    OK = "ok"
    DEGRADED = "degraded"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"


class Strategy(StrEnum):
    """What the router optimises."""

    DOMAIN_OPTIMIZED = "domain_optimized"
    COST_OPTIMIZED = "cost_optimized"
    SPEED_OPTIMIZED = "speed_optimized"
    QUALITY_OPTIMIZED = "quality_optimized"


class Severity(StrEnum):
    """How bad an error is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class ScoreStatus(StrEnum):
    """Whether a score is a measurement, and if not, why."""

    SCORED = "scored"
    SKIPPED = "skipped"
    TIMEOUT = "timeout"
    PARSE_ERROR = "parse_error"


class TokenEventType(StrEnum):
    """Place of an event in a token stream."""

    STREAM_START = "stream_start"
    TOKEN = "token"  # noqa: S105 - the name of an event, not a secret
    STREAM_COMPLETE = "stream_complete"
    ERROR = "error"


class Phase(StrEnum):
    """State of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class EffectState(StrEnum):
    """How far a call of the outside has come, as far as its log knows."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


class CommandAction(StrEnum):
    """What an operator can order."""

    PROMOTE = "promote"
    DEMOTE = "demote"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    FORCE_OPEN = "force_open"
    DISABLE = "disable"
    RESET = "reset"
    FORGET = "forget"


class AttackKind(StrEnum):
    """How an addition to the attack set is used."""

    EXAMPLE = "example"
    RULE = "rule"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asked, when, and until when an answer is of use."""

    request_id: Annotated[str, "UUIDv7 of the request; one terminal result carries it"]
    correlation_id: Annotated[str, "Ties several requests of one cause together"]
    session_id: Annotated[
        str | None, "Conversation, as the tenant names it; when present, it is in the key of every record"
    ] = None
    tenant: Annotated[str, "Who is billed and limited"] = "default"
    source_service: Annotated[str, "Service that produced the request"] = "unknown"
    event_time: Annotated[datetime, "When it happened; tables and replays move on this clock"]
    deadline: Annotated[datetime, "After this moment the answer is useless and the request expires"]
    replay_id: Annotated[str | None, "Set while historical topics are replayed"] = None
    user_id: Annotated[str | None, "Person behind the request, as the tenant names them; limited on their own"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """One error of the taxonomy in `streams.errors`."""

    error_code: Annotated[str, "Stable code, listed in docs/errors.md"]
    message: Annotated[str, "One sentence that says what to do"]
    severity: Annotated[Severity, "How bad it is"]
    context: Annotated[Mapping[str, str], "Names and values that locate the error"]
    cause: Annotated[str | None, "Type and text of the underlying error"] = None
    timestamp: Annotated[datetime, "When it was seen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """One limit and what is left of it."""

    name: Annotated[str, "`tenant requests`, `tenant tokens`, `user requests` or `user tokens`"]
    limit: Annotated[int, "Most within the window"]
    remaining: Annotated[int, "What is left after this request"]
    reset_at: Annotated[
        datetime, "When the oldest request counted leaves the window and something of the limit comes free"
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """Topic `attacks`, key attack_id: an addition to the prompt-injection screen; a tombstone takes it back."""

    attack_id: Annotated[str, "Id; with kind off, the built-in rule that is switched off"]
    kind: Annotated[AttackKind, "Whether the text is an example, a rule, or nothing"]
    family: Annotated[str, "Family it is counted under"]
    text: Annotated[str, "An attack as it was seen, or an RE2 pattern over folded text", AtMost(2000)]
    added_by: Annotated[str, "Who added it"]
    reason: Annotated[str, "Why"] = ""
    at: Annotated[datetime, "When it was added"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextQuery:
    """Topic `texts`: a question or instruction as a producer sends it, not yet checked."""

    origin: Annotated[Origin, "Who asked"]
    query: Annotated[str, "Text of the user, 1 to 5,000 characters"]
    domain: Annotated[str | None, "literary, market or general; general when absent"] = None
    task: Annotated[str | None, "analysis, generation or reasoning; analysis when absent"] = None
    context_pack_id: Annotated[str | None, "DataForge context pack to ground the answer in"] = None
    strategy: Annotated[str | None, "Routing strategy; the setting when absent"] = None
    model: Annotated[str | None, "Ask this model and no other"] = None
    temperature: Annotated[float, "Sampling temperature, 0 to 2"] = 0.0
    max_tokens: Annotated[int, "Most tokens the answer may have, 1 to 4,096"] = 256
    strict: Annotated[bool, "Refuse rather than answer degraded"] = False
    speak: Annotated[bool, "Also synthesize the answer"] = False
    language: Annotated[str | None, "BCP 47 tag, detected when absent"] = None
    confidence: Annotated[float | None, "Confidence of the transcript this text came from, 0 to 1"] = None
    doubtful: Annotated[bool, "True when that confidence is below the setting"] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Topic `proposals`: facts somebody wants Sophia to consider."""

    origin: Annotated[Origin, "Who proposes"]
    proposal_id: Annotated[str, "Stable id; a repeated proposal has the same one"]
    raw_text: Annotated[str, "Text the facts come from"]
    nodes: Annotated[tuple[str, ...], "JSON objects, one per extracted node"] = ()
    edges: Annotated[tuple[str, ...], "JSON objects, one per extracted edge"] = ()
    confidence: Annotated[float, "How sure the source is, 0 to 1"]
    model: Annotated[str | None, "Model that wrote, heard or extracted this"] = None
    provider: Annotated[str | None, "Provider of that model"] = None
    metadata: Annotated[Mapping[str, str], "Anything else, for the receiver"]
    source: Annotated[str, "Where it comes from: producer, transcript or answer"] = "producer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """Topic `ratings`: what a person thinks of an answer. It may come before its answer, or again."""

    origin: Annotated[Origin, "Of the request that was answered, exactly as its result has it"]
    rating_id: Annotated[str, "Stable id; a repeated rating has the same one, a change of mind another"]
    score: Annotated[float | None, "0 (useless) to 1 (just right); none with nothing but a correction"] = None
    correction: Annotated[str | None, "What the answer should have been, at most 20,000 characters"] = None
    comment: Annotated[str, "Why, in the person's own words", AtMost(5_000)] = ""
    rated_by: Annotated[str | None, "Person, as the tenant names them"] = None
    at: Annotated[datetime, "When it was given"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioChunk:
    """Topic `audio`: a piece of a clip or of a live stream."""

    origin: Annotated[Origin, "Who speaks"]
    clip_id: Annotated[str, "Clip or live stream the chunk belongs to"]
    sequence: Annotated[int, "Position in the clip, from 0"]
    last: Annotated[bool, "True on the final chunk"]
    live: Annotated[bool, "True for a stream that is still being spoken"] = False
    codec: Annotated[str, "pcm_s16le, wav, flac, mp3, ogg, webm"]
    sample_rate_hz: Annotated[int, "Samples per second; of meaning for raw PCM only"] = 16000
    content: Annotated[bytes, "At most 524,288 bytes", AtMost(524_288)]
    intent: Annotated[str, "What becomes of the transcript: question, proposal, or transcript for nothing more"] = (
        "question"
    )
    domain: Annotated[str | None, "Of the question: literary, market or general"] = None
    task: Annotated[str | None, "Of the question: analysis, generation or reasoning"] = None
    speak: Annotated[bool, "Also synthesize the answer"] = False
    language: Annotated[str | None, "BCP 47 tag of what is spoken, detected when absent"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A recognised word."""

    text: Annotated[str, "The word"]
    start_s: Annotated[float, "Seconds from the start of the clip"]
    end_s: Annotated[float, "Seconds from the start of the clip"]
    probability: Annotated[float, "0 to 1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """Topic `transcripts`: what was heard."""

    origin: Annotated[Origin, "Who spoke"]
    clip_id: Annotated[str, "Clip or live stream"]
    final: Annotated[bool, "False while a live stream goes on"]
    text: Annotated[str, "What was said"]
    language: Annotated[str, "BCP 47 tag"]
    confidence: Annotated[float, "Calibrated probability that the words are right, 0 to 1"]
    words: Annotated[tuple[Word, ...], "Words with times and probabilities"] = ()
    duration_s: Annotated[float, "Length of the audio"]
    dropped_s: Annotated[float, "Seconds lost to a full live buffer"] = 0.0
    model: Annotated[str, "Model that listened"]
    stable_chars: Annotated[int, "Length of the front of the text that later transcripts will not change"] = 0
    doubtful: Annotated[bool, "True when the confidence is below the setting"] = False
    discarded: Annotated[tuple[str, ...], "Why parts of what the model wrote were taken for invention"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeDocument:
    """Topic `knowledge`, key document_id: a document to answer from; a tombstone (null value) deletes it."""

    document_id: Annotated[str, "Stable id of the document"]
    title: Annotated[str, "Shown as the source of an answer"]
    text: Annotated[str, "Content"]
    domain: Annotated[Domain, "Field it belongs to"] = Domain.GENERAL
    tenant: Annotated[str, "Who may see it"] = "default"
    media_type: Annotated[str, "text/plain, text/markdown or text/html"] = "text/plain"
    source_uri: Annotated[str | None, "Where it came from"] = None
    updated_at: Annotated[datetime, "When this version was written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """Topic `invalidations`, key subject: caches must forget the subject."""

    subject: Annotated[str, "`document:<id>` or `pack:<id>`"]
    version: Annotated[str, "Version that is now current"]
    reason: Annotated[str, "updated or deleted"]
    at: Annotated[datetime, "When it changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Topic `commands`, key the subject: an order of an operator, idempotent by id."""

    command_id: Annotated[str, "Repeating an id has no effect"]
    subject: Annotated[
        str, "Cell (`domain/task`), dependency, or key of the conversation to forget (`tenant#session_id`)"
    ]
    action: Annotated[CommandAction, "What to do"]
    model: Annotated[str | None, "Model to promote or demote"] = None
    issued_by: Annotated[str, "Who orders it"]
    reason: Annotated[str, "Why"]
    at: Annotated[datetime, "When it was ordered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One exchange of a conversation."""

    request_id: Annotated[str, "Request"]
    query: Annotated[str, "At most 2,000 characters", AtMost(2000)]
    answer: Annotated[str, "At most 2,000 characters; empty until answered", AtMost(2000)]
    at: Annotated[datetime, "Event time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Topic `requests`: an admitted text query, every field checked and filled in."""

    origin: Annotated[Origin, "Who asked"]
    query: Annotated[str, "Text of the user, NFC"]
    domain: Annotated[Domain, "Field"]
    task: Annotated[Task, "Kind of work"]
    context_pack_id: Annotated[str | None, "DataForge context pack"] = None
    strategy: Annotated[Strategy | None, "Routing strategy asked for; the setting when absent"] = None
    model: Annotated[str | None, "Ask this model and no other"] = None
    temperature: Annotated[float, "0 to 2"]
    max_tokens: Annotated[int, "Most tokens of the answer"]
    strict: Annotated[bool, "Refuse rather than answer degraded"] = False
    speak: Annotated[bool, "Also synthesize the answer"] = False
    risk: Annotated[float, "Prompt-injection risk, 0 to 1"] = 0.0
    risk_reasons: Annotated[tuple[str, ...], "What the screen found, most telling first"] = ()
    screened_by: Annotated[str | None, "Version of the screen; none when it was off"] = None
    limits: Annotated[tuple[RateLimit, ...], "Rate limits and what is left of them"] = ()
    history: Annotated[tuple[Turn, ...], "Earlier turns of the conversation, oldest first"] = ()
    confidence: Annotated[float | None, "Confidence of the transcript the query came from, 0 to 1"] = None
    doubtful: Annotated[bool, "True when that confidence is below the setting"] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Topic `duplicates`, key of the first: a request that repeats one made a moment ago and waits for its result."""

    origin: Annotated[Origin, "Who asked again"]
    request: Annotated[Request, "The repetition, admitted; it goes on by itself when the first has no result in time"]
    first_request_id: Annotated[str, "Request whose result answers this one too"]
    first_session_id: Annotated[str | None, "Conversation of the first, when it has one"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token of an analysed text."""

    text: Annotated[str, "As written"]
    lemma: Annotated[str, "Dictionary form"]
    pos: Annotated[str, "Universal part of speech"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One named entity of an analysed text."""

    text: Annotated[str, "As written"]
    label: Annotated[str, "Kind, OntoNotes name"]
    start: Annotated[int, "First character"]
    end: Annotated[int, "Character after the last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Topic `analyses`: language analysis of a request."""

    origin: Annotated[Origin, "Who asked"]
    language: Annotated[str, "BCP 47 tag"]
    sentences: Annotated[tuple[str, ...], "Sentences in order"]
    tokens: Annotated[tuple[Token, ...], "Tokens in order"]
    entities: Annotated[tuple[Entity, ...], "Entities in order"]
    model: Annotated[str, "What analysed the text"] = ""
    operations: Annotated[tuple[str, ...], "Operations that were run, in order"] = ()
    findings: Annotated[tuple[str, ...], "JSON objects of operations that have no field of their own"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Topic `embeddings`: a request and the vector of its query."""

    origin: Annotated[Origin, "Who asked"]
    request: Annotated[Request, "The admitted request"]
    embedding_id: Annotated[str, "Hash of model and text"]
    model: Annotated[str, "Embedding model"]
    vector: Annotated[tuple[float, ...], "Unit length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A passage that may ground an answer, with its provenance."""

    chunk_id: Annotated[str, "Deterministic id"]
    document_id: Annotated[str, "Document it is part of"]
    title: Annotated[str, "Title of the document"]
    text: Annotated[str, "The passage"]
    source: Annotated[str, "vector_store, dataforge or static"]
    similarity: Annotated[float, "Cosine with the query, -1 to 1"]
    relevance: Annotated[float, "Cosine and lexical overlap together, 0 to 1"]
    kept: Annotated[bool, "True when it is part of the context"]
    reason: Annotated[str, "Why it was kept or dropped"]
    primary: Annotated[bool, "Main passage of a pack: first in the prompt, left out for no other"] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Topic `contexts`: a request and the passages found for it."""

    origin: Annotated[Origin, "Who asked"]
    request: Annotated[Request, "The admitted request"]
    chunks: Annotated[tuple[Chunk, ...], "Best first, kept and dropped"]
    pack_version: Annotated[str | None, "Version of the DataForge pack, when one was used"] = None
    degradations: Annotated[tuple[str, ...], "What could not be had, e.g. `vector_store_unavailable`"] = ()
    persona: Annotated[str, "Who asks, as the profile service says; empty when nobody says"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Topic `prompts`: exactly what a model will be asked."""

    origin: Annotated[Origin, "Who asked"]
    request: Annotated[Request, "The admitted request"]
    chunks: Annotated[tuple[Chunk, ...], "Passages with the final decision on each"]
    system: Annotated[str, "Instructions of the domain adapter"]
    user: Annotated[str, "Context and question"]
    prompt_version: Annotated[str, "Version of the template"]
    tokens: Annotated[int, "Tokens of system and user together, by the tokenizer named"]
    tokenizer: Annotated[str, "Tokenizer the tokens were counted with"]
    canary: Annotated[str, "Word that must never appear in an answer"]
    pack_version: Annotated[str | None, "Version of the DataForge pack"] = None
    degradations: Annotated[tuple[str, ...], "What could not be had so far"] = ()
    turns: Annotated[int, "Earlier turns of the conversation that it shows, the newest ones"] = 0
    mark: Annotated[
        str, "Word that fences off the parts of `user`, drawn for each request; without it no answer is reused"
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDecision:
    """Why a model was chosen."""

    strategy: Annotated[Strategy, "What was optimised"]
    cell: Annotated[str, "`domain/task`"]
    model: Annotated[str, "Model that answered"]
    provider: Annotated[str, "Provider that served it"]
    reasons: Annotated[tuple[str, ...], "Why this one"]
    rejected: Annotated[Mapping[str, str], "Model not taken -> why"]
    chain: Annotated[tuple[str, ...], "Models in the order they would have been tried"]
    propensity: Annotated[float, "Probability with which the first of the chain came to be the first, 0 to 1"] = 1.0
    cost_estimate_usd: Annotated[float, "Price of the call, should the model write all it may"] = 0.0
    tier: Annotated[str, "Class of the model, as its catalogue has it; empty before there was this field"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Topic `decisions`: whom the router means to ask for a request, before it asks; also where nobody may be asked."""

    origin: Annotated[Origin, "Who asked"]
    decision_id: Annotated[str, "Request id; the last decision with an id is the one that was carried out"]
    cell: Annotated[str, "`domain/task`"]
    strategy: Annotated[Strategy, "What was optimised"]
    chosen: Annotated[str | None, "Model to be asked first; none when nobody may be asked, or needs to be"] = None
    reasons: Annotated[tuple[str, ...], "Why this one"] = ()
    rejected: Annotated[Mapping[str, str], "Model not taken -> why"]
    chain: Annotated[tuple[str, ...], "Models in the order they will be tried"] = ()
    propensity: Annotated[float, "Probability with which this model was chosen, 0 to 1"] = 1.0
    estimates_usd: Annotated[Mapping[str, float], "Model of the chain -> price, should it write all it may"]
    at: Annotated[datetime, "When it was decided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """Where an answer comes from that no model was asked for."""

    kind: Annotated[
        str, "exact: the same was asked before; semantic: something near it; in_flight: the same, at the same time"
    ]
    request_id: Annotated[str, "Request the answer was first given to"]
    similarity: Annotated[float, "Cosine of the two questions; 1 unless semantic"]
    age_s: Annotated[float, "Time since it was first given"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Topic `answers`: what a model said, with everything needed to judge it."""

    origin: Annotated[Origin, "Who asked"]
    request: Annotated[Request, "The admitted request"]
    chunks: Annotated[tuple[Chunk, ...], "Passages given to the model and dropped ones"]
    text: Annotated[str, "The answer"]
    decision: Annotated[RouteDecision, "Why this model"]
    finish_reason: Annotated[str, "stop, length or content_filter"]
    input_tokens: Annotated[int, "Tokens of the prompt as the provider counted them"]
    output_tokens: Annotated[int, "Tokens of the answer"]
    cost_usd: Annotated[float, "Price of the call"] = 0.0
    latency_ms: Annotated[float, "Whole call"]
    ttft_ms: Annotated[float, "Until the first token"]
    prompt_version: Annotated[str, "Version of the template"]
    canary: Annotated[str, "Word that must never appear in an answer"]
    pack_version: Annotated[str | None, "Version of the DataForge pack"] = None
    degradations: Annotated[tuple[str, ...], "What could not be had so far"] = ()
    maybe_repeated: Annotated[
        bool,
        "True when a worker died between asking a model and noting it: the model may have been asked, and paid, twice",
    ] = False
    tokens_per_s: Annotated[float, "Speed after the first token; 0 when everything came at once"] = 0.0
    reused: Annotated[
        Reuse | None, "Set when nobody was asked; tokens are then those of the first call, the cost is 0"
    ] = None
    begun: Annotated[str, "What is being spoken already, since a model wrote it; the text mostly begins with it"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Topic `effects`, key effect_id: what a stage did outside for one record, so that it is not done twice."""

    origin: Annotated[Origin, "Who asked"]
    effect_id: Annotated[str, "`<feedback id>/<stage>`, or `<tenant>#<request or proposal id>/<stage>`"]
    state: Annotated[EffectState, "begun before the call, done or failed after it"]
    at: Annotated[datetime, "When this was noted"]
    epochs: Annotated[int, "Epochs of the token stream that are used up"] = 0
    maybe_repeated: Annotated[bool, "True when an earlier call was begun and its end is not known"] = False
    answer: Annotated[Answer | None, "What the model said, to be published again"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStats:
    """Speed of a token stream."""

    tps: Annotated[float, "Tokens per second so far"]
    ttft_ms: Annotated[float, "Time to the first token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEvent:
    """Topic `tokens`: a piece of an answer while it is being written."""

    origin: Annotated[Origin, "Who asked"]
    type: Annotated[TokenEventType, "Place in the stream"]
    session_id: Annotated[str, "Session, or the request id when there is none"]
    content: Annotated[str, "Text of this event"]
    epoch: Annotated[int, "Attempt; a higher epoch replaces everything of the lower ones"]
    sequence: Annotated[int, "Position in the epoch, from 0"]
    stats: Annotated[StreamStats | None, "Speed so far"] = None
    timestamp: Annotated[datetime, "When it was written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Topic `outcomes`, key dependency: one call of an outside system, for its circuit."""

    dependency: Annotated[str, "Provider, model server, store or service that was called"]
    ok: Annotated[bool, "False for a failure that counts against the circuit"]
    error_code: Annotated[str | None, "Code of the failure"] = None
    latency_ms: Annotated[float, "Duration of the call"]
    request_id: Annotated[str | None, "Request it was made for"] = None
    at: Annotated[datetime, "When the call ended"]
    outcome_id: Annotated[
        str | None, "Dependency, request and start of the call; counted once however often it comes"
    ] = None
    ttft_ms: Annotated[
        float, "Until the first token; of a call that lost to its hedge, how long it was silent; else 0"
    ] = 0.0
    input_tokens: Annotated[int, "Tokens of the prompt; counted by us when the call did not end by itself"] = 0
    output_tokens: Annotated[int, "Tokens of the answer; as above"] = 0
    cost_usd: Annotated[float, "Price of the call, also of one whose answer nobody saw"] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One judged property of an answer."""

    name: Annotated[
        str, "relevance, correctness, coherence, policy_compliance or context_overlap; judge for that of a model"
    ]
    value: Annotated[float, "0 to 1; 0 unless the status is scored"]
    status: Annotated[ScoreStatus, "Whether the value is a measurement"] = ScoreStatus.SCORED


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Topic `evaluations`: an answer and its scores."""

    origin: Annotated[Origin, "Who asked"]
    answer: Annotated[Answer, "What was judged"]
    scores: Annotated[tuple[Score, ...], "Five scores, fixed order, then that of the judge when one is configured"]
    overall: Annotated[float, "Weighted mean of the scored ones, 0 to 1"]
    passed: Annotated[bool, "Overall at or above the threshold and no policy breach"]
    evaluator: Annotated[str, "Rules and their version"]
    judge: Annotated[str | None, "Model that was to judge beside the rules; none when none is configured"] = None
    judge_prompt: Annotated[str | None, "Version of what the judge is asked"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Topic `verdicts`, key cell: one judged answer, for the champions."""

    verdict_id: Annotated[str, "Request id and evaluator; counted once however often it comes"]
    cell: Annotated[str, "`domain/task`"]
    model: Annotated[str, "Model that was judged"]
    score: Annotated[float, "Overall score, 0 to 1"]
    latency_ms: Annotated[float, "Of the call"]
    cost_usd: Annotated[float, "Of the call"]
    at: Annotated[datetime, "Event time of the request"]
    judge: Annotated[str | None, "Model whose score is part of this one; none when it is the rules' alone"] = None
    judge_prompt: Annotated[str | None, "Version of what the judge was asked"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A passage an answer rests on, as shown to the reader."""

    chunk_id: Annotated[str, "Passage"]
    document_id: Annotated[str, "Document"]
    title: Annotated[str, "Title of the document"]
    relevance: Annotated[float, "0 to 1"]
    source: Annotated[str, "vector_store, dataforge or static"] = ""
    similarity: Annotated[float, "Cosine with the query, -1 to 1"] = 0.0
    reason: Annotated[str, "Why it was used or left out"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Topic `results`: the one terminal record of a request."""

    origin: Annotated[Origin, "Who asked"]
    result_id: Annotated[str, "Derived from the request id: a repeated delivery has the same one"]
    status: Annotated[Status, "How it ended"]
    text: Annotated[str, "The answer; empty unless ok or degraded"] = ""
    errors: Annotated[tuple[ErrorReport, ...], "What was wrong, every problem listed"] = ()
    degradations: Annotated[tuple[str, ...], "What could not be had"] = ()
    sources: Annotated[tuple[Source, ...], "Passages used"] = ()
    scores: Annotated[tuple[Score, ...], "Five scores, then that of the judge when one is configured"] = ()
    overall: Annotated[float | None, "Weighted mean of the scores"] = None
    decision: Annotated[RouteDecision | None, "Why this model"] = None
    prompt_version: Annotated[str | None, "Version of the template"] = None
    pack_version: Annotated[str | None, "Version of the DataForge pack"] = None
    evaluator: Annotated[str | None, "Rules and their version"] = None
    input_tokens: Annotated[int, "Tokens of the prompt"] = 0
    output_tokens: Annotated[int, "Tokens of the answer"] = 0
    cost_usd: Annotated[float, "Price of the model call"] = 0.0
    latency_ms: Annotated[float, "Duration of the model call"] = 0.0
    maybe_repeated: Annotated[bool, "True when the model may have been asked, and paid, twice"] = False
    risk: Annotated[float, "Prompt-injection risk, 0 to 1"] = 0.0
    limits: Annotated[tuple[RateLimit, ...], "Rate limits and what is left of them"] = ()
    duplicate_of: Annotated[str | None, "Request whose answer this is, when it was asked twice at once"] = None
    ttft_ms: Annotated[float, "Until the first token of the model"] = 0.0
    tokens_per_s: Annotated[float, "Speed of the model after its first token; 0 when everything came at once"] = 0.0
    reused: Annotated[Reuse | None, "Where the answer comes from when no model was asked"] = None
    left_out: Annotated[tuple[Source, ...], "Passages looked at and not used, and why"] = ()
    query: Annotated[str, "What was asked, as admitted; empty when it never came that far"] = ""
    context_pack_id: Annotated[str | None, "DataForge context pack that was asked for"] = None
    judge: Annotated[str | None, "Model that was to judge beside the rules; none when none is configured"] = None
    judge_prompt: Annotated[str | None, "Version of what the judge is asked"] = None
    confidence: Annotated[float | None, "Confidence of the transcript, when it was spoken, 0 to 1"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """Topic `feedback`, key pack or request: what DataForge learns from an answer, judged or rated by a person."""

    origin: Annotated[Origin, "Who asked"]
    feedback_id: Annotated[str, "Stable; DataForge is idempotent on it"]
    context_pack_id: Annotated[str | None, "Pack that was used"] = None
    pack_version: Annotated[str | None, "Version of that pack"] = None
    chunk_ids: Annotated[tuple[str, ...], "Passages that were used"]
    query: Annotated[str, "What was asked"]
    output: Annotated[str, "What was answered"]
    model: Annotated[str, "Model"]
    provider: Annotated[str, "Provider"]
    cell: Annotated[str, "`domain/task`"]
    reward: Annotated[float, "Overall score, 0 to 1"]
    passed: Annotated[bool, "Whether the evaluation passed"]
    scores: Annotated[tuple[Score, ...], "Five scores"]
    tokens_used: Annotated[int, "Prompt and answer"]
    latency_ms: Annotated[float, "Model call"]
    prompt_version: Annotated[str | None, "Version of the template"] = None
    evaluator: Annotated[str | None, "Judge and its version"] = None
    decision: Annotated[RouteDecision | None, "Why this model"] = None
    degradations: Annotated[tuple[str, ...], "What could not be had"] = ()
    error: Annotated[str | None, "Why the answer was not shown; none when it was"] = None
    rating: Annotated[Rating | None, "What a person thinks of the answer; none: what the judge thinks"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest:
    """Topic `speech-requests`: an answer to be spoken."""

    origin: Annotated[Origin, "Who asked"]
    text: Annotated[str, "What to say"]
    turn: Annotated[int, "Turn of the conversation; a newer turn silences an older one"] = 0
    voice: Annotated[str | None, "Voice; the setting when absent"] = None
    begins: Annotated[int, "Number of its first sentence; those before it are in another request of the same id"] = 0
    ends: Annotated[bool, "False when the rest of the answer is still being written"] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTurn:
    """Table `turns`, key tenant#session_id: the newest turn of a conversation that began to be spoken."""

    session_id: Annotated[str, "Conversation"]
    turn: Annotated[int, "Older turns are silent for ever"] = -1
    as_of: Annotated[datetime, "When it was asked for"]
    counted: Annotated[Mapping[str, int], "`topic-partition` -> last source offset counted"]
    tenant: Annotated[str, "Whose conversation"] = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechChunk:
    """Topic `speech`: a spoken sentence."""

    origin: Annotated[Origin, "Who asked"]
    sequence: Annotated[int, "Sentence, from 0"]
    last: Annotated[bool, "True on the final sentence"]
    turn: Annotated[int, "Turn it belongs to"]
    text: Annotated[str, "What is said"]
    content: Annotated[bytes, "Mono s16le; empty when only text could be given"]
    sample_rate_hz: Annotated[int, "Samples per second"]
    engine: Annotated[str, "Rung of the ladder that spoke: piper, espeak-ng or text"]
    degradations: Annotated[tuple[str, ...], "Why better rungs did not speak, e.g. `piper: circuit_open`"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """What speaks for a challenger against the champion, since one of them came; see docs/champions.md."""

    strength: Annotated[float, "Mean of `evidence`: 1 knows nothing, 100 is once in a hundred by chance"] = 1.0
    evidence: Annotated[tuple[float, ...], "One e-value per bet: how unlikely its lead is, were it no better"] = ()
    pairs: Annotated[int, "Comparisons made"] = 0
    own_sum: Annotated[float, "Scores of the challenger not compared yet, added up"] = 0.0
    own_count: Annotated[int, "How many they are"] = 0
    champion_sum: Annotated[float, "Scores of the champion not compared yet, added up"] = 0.0
    champion_count: Annotated[int, "How many they are"] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """What speaks against a champion since it came: that it has fallen below the best of the others."""

    previous: Annotated[str | None, "Champion it has deposed; while the reign is young, that one comes back"] = None
    verdicts: Annotated[int, "Verdicts on the champion since"] = 0
    strength: Annotated[float, "Mean of `evidence`: 1 knows nothing, 100 is once in a hundred by chance"] = 1.0
    evidence: Annotated[tuple[float, ...], "One e-value per bet: how unlikely its fall is, were it no worse"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStanding:
    """How one model does in one cell."""

    model: Annotated[str, "Model"]
    score: Annotated[float, "Exponential moving average, 0 to 1"]
    samples: Annotated[int, "Verdicts counted"]
    recent: Annotated[tuple[float, ...], "Newest scores, oldest first, at most the window"]
    peak: Annotated[float, "Highest average so far"]
    low: Annotated[float, "Lowest average so far"]
    latency_ms: Annotated[float, "Exponential moving average of the call's duration"] = 0.0
    as_of: Annotated[datetime, "Event time of the last verdict"]
    cost_usd: Annotated[float, "Exponential moving average of the call's price"] = 0.0
    trend: Annotated[float, "Mean of the newer half of `recent` less that of the older half"] = 0.0
    duel: Annotated[Duel | None, "Its case against the champion; none for the champion itself"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Table `champions` and topic `standings`, key cell: the models of a cell and which of them leads."""

    cell: Annotated[str, "`domain/task`"]
    champion: Annotated[str | None, "Model that gets the traffic; none before the first verdict"] = None
    standings: Annotated[tuple[ModelStanding, ...], "By model name"] = ()
    since: Annotated[datetime | None, "When the champion took over"] = None
    reason: Annotated[str, "Why it leads"] = ""
    frozen: Annotated[bool, "True while an operator forbids changes"] = False
    counted: Annotated[Mapping[str, int], "`topic-partition` -> last source offset counted"]
    commands: Annotated[tuple[str, ...], "Ids of the newest commands obeyed"] = ()
    reign: Annotated[Reign | None, "The case against the champion"] = None
    seen: Annotated[str, "Digests of the newest verdicts counted, 6 characters each, newest last"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitState:
    """Table `circuits` and topic `circuit-states`, key dependency: the memory of one circuit breaker."""

    dependency: Annotated[str, "Who is called"]
    failures: Annotated[int, "Consecutive failures"] = 0
    first_failure_at: Annotated[datetime | None, "Start of the present run of failures"] = None
    open_until: Annotated[datetime | None, "Calls are refused before this; half open after it; none when closed"] = None
    opened: Annotated[int, "How often it opened"] = 0
    forced: Annotated[Phase | None, "forced_open or disabled by an operator"] = None
    last_error_code: Annotated[str | None, "Newest failure"] = None
    as_of: Annotated[datetime, "When the last outcome was seen"]
    counted: Annotated[Mapping[str, int], "`topic-partition` -> last source offset counted"]
    commands: Annotated[tuple[str, ...], "Ids of the newest commands obeyed"] = ()
    phase: Annotated[Phase, "What it says as of `as_of`; an open circuit is half open from `open_until` on"] = (
        Phase.CLOSED
    )
    since: Annotated[datetime | None, "When it came to say so: a record with a new `since` is a transition"] = None
    reason: Annotated[str, "What made it say so"] = ""
    calls: Annotated[str, "Newest calls, oldest first: `.` well, `s` slow, `f` failed, `x` slow and failed"] = ""
    probe_s: Annotated[float, "While half open one call is let through in each span of this length"] = 10.0
    seen: Annotated[str, "Digests of the newest outcomes counted, 6 characters each, newest last"] = ""
    paces: Annotated[
        str, "Time to the first token of the newest calls, one letter each, oldest first; see docs/routing.md"
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Table `sessions`, key tenant#session_id: bounded history of a conversation."""

    session_id: Annotated[str, "Conversation"]
    turns: Annotated[tuple[Turn, ...], "Oldest first, at most 100", AtMost(100)] = ()
    as_of: Annotated[datetime, "Last activity"]
    counted: Annotated[Mapping[str, int], "`topic-partition` -> last source offset counted"]
    tenant: Annotated[str, "Whose conversation"] = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class SophiaProposal:
    """Topic `sophia-proposals`: a proposal as Sophia takes it."""

    origin: Annotated[Origin, "Who proposes"]
    proposal_id: Annotated[str, "Stable id"]
    llm_provider: Annotated[str, "Provider of the extracting model"]
    model: Annotated[str, "Extracting model"]
    confidence: Annotated[float, "0 to 1"]
    generated_at: Annotated[datetime, "When it was made"]
    nodes: Annotated[tuple[str, ...], "JSON objects"]
    edges: Annotated[tuple[str, ...], "JSON objects"]
    raw_text: Annotated[str, "Text the facts come from"]
    embedding_id: Annotated[str, "Hash of model and text"]
    embedding_model: Annotated[str, "Embedding model"]
    vector: Annotated[tuple[float, ...], "Unit length"]
    metadata: Annotated[Mapping[str, str], "Anything else"]
    provenance: Annotated[tuple[str, ...], "`name=value`: where text, facts and confidence come from"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Topic `usage`: an account of a window of finished requests."""

    tenant: Annotated[str, "Who is billed"]
    window_start: Annotated[datetime, "Start of the window"]
    window_s: Annotated[float, "Length of the window"]
    requests: Annotated[Mapping[str, int], "Status -> count"]
    input_tokens: Annotated[int, "Tokens in"]
    output_tokens: Annotated[int, "Tokens out"]
    cost_usd: Annotated[float, "Sum of prices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Topic `alerts`: something a person should look at."""

    alert_id: Annotated[str, "Stable id"]
    type: Annotated[str, "Kind of alert"]
    severity: Annotated[Severity, "How bad"]
    risk_score: Annotated[float, "0 to 1"]
    indicators: Annotated[tuple[str, ...], "What was seen"]
    recommended_actions: Annotated[tuple[str, ...], "What to do"]
    at: Annotated[datetime, "When"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Topic `replays`, key name: what was replayed, and how far it got."""

    name: Annotated[str, "Name of the replay; its topics are called after it"]
    digest: Annotated[str, "Hash of the order and of the settings that decide results"]
    topic: Annotated[str, "Topic that was read, without prefix"]
    start: Annotated[datetime, "First moment of the range"]
    end: Annotated[datetime, "First moment after the range"]
    sample: Annotated[float, "Share of the conversations that was taken, 0 to 1"] = 1.0
    variants: Annotated[tuple[str, ...], "What was compared, in order"]
    seed: Annotated[str, "What champions and circuits began with: empty or live"]
    answers: Annotated[str, "Where answers came from: reuse, recorded or fresh"]
    requests: Annotated[int, "Requests taken from the range"]
    notes: Annotated[tuple[str, ...], "What the range lacks, and other things a reader must know"] = ()
    started_at: Annotated[datetime, "When it was ordered first"]
    finished_at: Annotated[datetime | None, "When the last variant ended; none while it is unfinished"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedRequest:
    """Topic `replay-<name>-<variant>-results`: one request of a replay and what it ended with, in the order of the range."""

    position: Annotated[int, "Place in the range, from 0; the same in every variant"]
    at: Annotated[datetime, "When the request was written to its topic"]
    cell: Annotated[str, "`domain/task` as asked"]
    query: Annotated[str, "What was asked"]
    result: Annotated[Result, "How it ended"]
    outcomes: Annotated[tuple[Outcome, ...], "Calls that were made for it, in order"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswer:
    """Topic `replay-answers`, key ask_id: what a model said to an ask, or how it failed; or the vector of a text."""

    ask_id: Annotated[str, "Hash of the model and of everything it was asked"]
    model: Annotated[str, "Model that was asked"]
    text: Annotated[str, "The answer"] = ""
    finish_reason: Annotated[str, "stop, length or content_filter"] = ""
    input_tokens: Annotated[int, "Tokens of the prompt"] = 0
    output_tokens: Annotated[int, "Tokens of the answer"] = 0
    ttft_ms: Annotated[float, "Until the first token"] = 0.0
    latency_ms: Annotated[float, "Whole call"]
    error_code: Annotated[str | None, "Code of the failure; none for an answer"] = None
    error: Annotated[str, "What the provider said when it failed"] = ""
    at: Annotated[datetime, "When it was recorded"]
    vector: Annotated[tuple[float, ...], "Vector of an embedding model; empty for an answer"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrive:
    """Topic `redrives`, key letter_id: an operator sent a dead letter back to where it came from."""

    letter_id: Annotated[str, "`partition@offset` of the letter on `dead-letters`"]
    topic: Annotated[str, "Topic it was sent back to"]
    error_code: Annotated[str, "Why it had failed"]
    stage: Annotated[str, "Stage that had given it up"]
    redrives: Annotated[int, "How often the record has been sent back, this time included"]
    forced: Annotated[bool, "True when it was sent although it was expected to fail the same way"] = False
    issued_by: Annotated[str, "Who sent it"]
    reason: Annotated[str, "Why, in the operator's words"] = ""
    at: Annotated[datetime, "When"]
