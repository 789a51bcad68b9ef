"""All settings: one frozen tree, read once, every problem reported together and before Kafka is touched.

The environment name of a setting is `FORGESTREAM_<SECTION>_<NAME>`; the address of the cluster alone is the short
`FORGESTREAM_KAFKA`. A name that ends in `_FILE` reads the value from that file (mounted secrets).
"""

import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from streams.errors import SettingsInvalid

PREFIX = "FORGESTREAM_"
NOBODY = "none"  # as the value of a list of models
LARGEST = sys.float_info.max  # infinity is no setting
T = TypeVar("T")


def setting(
    default: T,
    meaning: str,
    *,
    unit: str = "",
    why: str = "",
    secret: bool = False,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    never: str = "",
    env: str | None = None,
    also: tuple[str, ...] = (),
) -> T:
    """Declare a setting with its documentation and limits.

    `never` is a text that no value may hold; `why` is the reason to differ from Kafka's or Faust's default; `also` are names
    of others that are read when the own one is not set.
    """
    documentation = {
        "meaning": meaning, "unit": unit, "why": why, "secret": secret, "least": least, "most": most,
        "choices": choices, "never": never, "env": env, "also": also,
    }  # fmt: skip
    declared: T = field(default=default, repr=not secret, metadata=documentation)
    return declared


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """How to reach the cluster, and how topics are made."""

    bootstrap: str = setting(
        "",
        "Brokers as host:port,host:port; empty starts the embedded broker",
        never="://",
        why="no scheme: Faust's confluent:// driver drops headers, and plain aiokafka is the only one used",
        env="FORGESTREAM_KAFKA",
    )
    security_protocol: str = setting("PLAINTEXT", "Kafka's security.protocol", choices=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"))  # fmt: skip
    sasl_mechanism: str = setting("", "Kafka's sasl.mechanism", choices=("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"))
    sasl_username: str = setting("", "User name for SASL")
    sasl_password: str = setting("", "Password for SASL", secret=True)
    tls_ca_file: str = setting("", "CA certificates in PEM; empty uses the system's")
    tls_cert_file: str = setting("", "Client certificate in PEM, for mutual TLS")
    tls_key_file: str = setting("", "Key of the client certificate in PEM")
    topic_prefix: str = setting("", "Put before every topic and group name; a replay has its own")
    partitions: int = setting(4, "Partitions of every request-path topic; they must be equal", least=1, most=512)
    replication: int = setting(1, "Replicas of every topic we create; use 3 on a cluster", least=1, most=7)
    min_insync_replicas: int = setting(
        1, "Kafka's min.insync.replicas of topics we create; use 2 with 3 replicas", least=1, most=7
    )
    timeout_s: float = setting(10.0, "Longest wait for the cluster at start", unit="s", least=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSettings:
    """The Kafka that `forgestream up` starts itself."""

    cache_dir: str = setting("", "Where jars and converted models are kept; empty is the user's cache directory")
    data_dir: str = setting("", "Where the embedded broker and store keep data; empty is thrown away at exit")
    heap_mb: int = setting(384, "Java heap of the embedded broker", unit="MiB", least=128)
    port: int = setting(0, "Port of the embedded broker; 0 takes a free one", least=0, most=65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """Where schema ids come from."""

    url: str = setting(
        "", "Base URL of a Confluent-compatible schema registry; empty uses the ids committed beside the schemas"
    )
    username: str = setting("", "Basic authentication")
    password: str = setting("", "Basic authentication", secret=True)
    timeout_s: float = setting(5.0, "Longest wait for one call", unit="s", least=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How records are consumed, handled and produced."""

    worker_id: str = setting(
        "worker-0",
        "Stable name of this worker, unique in its group",
        why="static membership: after a kill the group waits for nobody",
    )
    in_flight: int = setting(
        1024,
        "Most records under way per partition; the partition pauses above it",
        least=1,
        why="Faust buffers 4,096 events per agent whatever their size",
    )
    in_flight_mb: float = setting(32.0, "Most bytes under way per partition", unit="MiB", least=0.1)
    effects_mb: float = setting(
        16.0,
        "Most MiB of remembered effects (answers, above all) per partition; the oldest are forgotten first",
        unit="MiB",
        least=0.1,
    )
    commit_interval_s: float = setting(
        0.5, "Time between offset commits", unit="s", least=0.05, why="Faust's 2.8 s repeats more work after a kill"
    )
    session_timeout_s: float = setting(
        6.0,
        "Group session timeout",
        unit="s",
        least=1,
        why="Faust's 60 s leaves a dead worker's partitions idle for a minute",
    )
    heartbeat_s: float = setting(
        1.0, "Group heartbeat", unit="s", least=0.1, why="a third of the session timeout or less"
    )
    fetch_max_wait_ms: int = setting(
        20,
        "Longest wait of the broker for new records",
        unit="ms",
        least=1,
        why="Faust fixes 1,500: a busy partition can stall behind idle ones that long",
    )
    max_poll_records: int = setting(4000, "Records taken from the fetcher at once", least=1)
    max_partition_fetch_mb: float = setting(
        8.0, "Most bytes of one fetch per partition", unit="MiB", least=0.1, why="a 1 MiB fetch starves the direct path"
    )
    linger_ms: float = setting(0.0, "Producer's linger.ms: batching against latency", unit="ms", least=0)
    compression: str = setting("lz4", "Producer's compression.type", choices=("none", "gzip", "snappy", "lz4", "zstd"))
    delivery_timeout_s: float = setting(
        120.0, "Producer's delivery.timeout.ms; beyond it the worker stops and reads again", unit="s", least=1
    )
    retry_initial_s: float = setting(0.2, "First pause before a transient failure is tried again", unit="s", least=0)
    retry_max_s: float = setting(5.0, "Longest pause between tries", unit="s", least=0)
    retry_attempts: int = setting(5, "Tries of one record before it is a dead letter", least=1)
    drain_s: float = setting(
        5.0, "Time for records under way at shutdown or rebalance before they are cancelled", unit="s", least=0
    )
    stall_s: float = setting(
        30.0, "Liveness fails when work is done but not committed for this long", unit="s", least=1
    )
    processing_guarantee: str = setting(
        "at_least_once", "Only at_least_once: Faust's exactly_once loses data", choices=("at_least_once",)
    )
    broker_driver: str = setting(
        "aiokafka", "Only aiokafka: Faust's confluent driver drops headers", choices=("aiokafka",)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmitSettings:
    """Limits of a request."""

    max_query_chars: int = setting(5000, "Longest query", unit="characters", least=1)
    max_tokens: int = setting(4096, "Most tokens a request may ask for", least=1)
    deadline_s: float = setting(60.0, "Deadline of a request that has none", unit="s", least=0.1)
    max_deadline_s: float = setting(
        86_400.0, "Latest deadline a request may have, after its event time", unit="s", least=1
    )
    window_s: float = setting(60.0, "Sliding window of the rate limits", unit="s", least=1)
    tenant_requests: int = setting(0, "Most requests of a tenant within the window; 0 is no limit", least=0)
    tenant_tokens: int = setting(0, "Most tokens a tenant may reserve within the window; 0 is no limit", least=0)
    user_requests: int = setting(0, "Most requests of a user of a tenant within the window; 0 is no limit", least=0)
    user_tokens: int = setting(0, "Most tokens a user may reserve within the window; 0 is no limit", least=0)
    duplicate_ms: float = setting(
        500.0,
        "A request repeated within this is answered with the result of the first; 0 asks twice",
        unit="ms",
        least=0,
    )
    duplicate_wait_s: float = setting(
        30.0, "A repetition whose first has no result by then is asked by itself", unit="s", least=0.1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenSettings:
    """The prompt-injection screen; docs/screen.md says how well it works."""

    mode: str = setting(
        "refuse",
        "refuse rejects risky requests, score lets them pass with their risk, off does not look",
        choices=("refuse", "score", "off"),
    )
    refuse_at: float = setting(0.5, "Risk from which a text is refused", least=0, most=1)
    similar_at: float = setting(0.8, "Cosine from which a text is taken for an added example", least=0, most=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """What workers share beside Kafka: rate limits, repetitions and cached answers."""

    url: str = setting("", "redis://host:port/0, or rediss:// for TLS; empty counts in each process alone", secret=True)
    timeout_s: float = setting(0.25, "Longest wait for one call; a worker then counts by itself", unit="s", least=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberSettings:
    """Conversations."""

    turns: int = setting(100, "Most turns kept of a conversation", least=1, most=100)
    history_turns: int = setting(6, "Most earlier turns given to a request", least=0, most=100)
    history_chars: int = setting(
        4000, "Most characters of earlier turns given to a request", unit="characters", least=0
    )
    expiry_s: float = setting(
        2_592_000.0, "A conversation without a turn for this long is forgotten", unit="s", least=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """Where it is looked up who asks."""

    url: str = setting(
        "",
        "Address of a profile, with {session_id}, {user_id} or {tenant} in it; it answers {persona, profile{}}; empty looks nothing up",
    )
    token: str = setting("", "Bearer token", secret=True)
    timeout_s: float = setting(1.0, "Longest wait; the answer then is given without, marked", unit="s", least=0.01)
    ttl_s: float = setting(300.0, "A profile is looked up again after this", unit="s", least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeSettings:
    """How audio becomes text."""

    model: str = setting("", "Directory of a CTranslate2 Whisper model; empty uses the installed tiny.en")
    multilingual_model: str = setting(
        "", "Directory of the model for languages other than English; empty: English only"
    )
    threads: int = setting(2, "Threads of one transcription", least=1)
    parallel: int = setting(1, "Transcriptions at the same time; each takes `threads`", least=1)
    models_kept: int = setting(2, "Most models kept in memory; the one not used for longest goes first", least=1)
    idle_unload_s: float = setting(900.0, "A model not used for this long is unloaded", unit="s", least=1)
    max_clip_mb: float = setting(16.0, "Largest clip", unit="MiB", least=0.1, most=64)
    max_clip_s: float = setting(600.0, "Longest clip, decoded", unit="s", least=1, most=7200)
    clip_idle_s: float = setting(
        10.0, "A clip whose next chunk does not come for this long is refused", unit="s", least=0.01
    )
    in_flight_mb: float = setting(
        96.0,
        "Most bytes of clips under way in a worker; the newest unfinished ones beyond it are refused",
        unit="MiB",
        least=16,
    )
    live_buffer_s: float = setting(
        10.0, "Live speech held; beyond it the older half is dropped", unit="s", least=1, most=30
    )
    live_step_s: float = setting(1.0, "New live speech that makes a new partial transcript", unit="s", least=0.1)
    live_pause_s: float = setting(0.6, "Silence that ends an utterance of live speech", unit="s", least=0.1)
    doubtful_below: float = setting(0.5, "Transcripts of less confidence are marked doubtful", least=0, most=1)
    refuse_below: float = setting(0.0, "Transcripts of less confidence are refused", least=0, most=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesizeSettings:
    """How text becomes speech."""

    engines: str = setting(
        "piper,espeak-ng",
        "Engines, first choice first, comma separated; those not installed are left out, text is last",
    )
    voice: str = setting("", "Voice file for piper, or name for espeak-ng; empty uses the installed one")
    timeout_s: float = setting(
        5.0,
        "Longest wait for one sentence of one engine, for its turn and for a start of the engine too; then the next one speaks",
        unit="s",
        least=0.1,
    )
    cache_mb: float = setting(16.0, "Spoken phrases remembered", unit="MiB", least=0)
    cached_chars: int = setting(80, "Longest phrase that is remembered", unit="characters", least=0)
    max_chars: int = setting(
        400, "Longest sentence spoken at once; longer ones are cut at a comma or space", unit="characters", least=20
    )
    first_chars: int = setting(
        60,
        "A longer first sentence of an answer is cut at a comma or colon before this, so that its audio comes early; 0 never cuts",
        unit="characters",
        least=0,
    )
    turns_s: float = setting(
        86_400.0, "The newest spoken turn of a conversation is remembered for this long", unit="s", least=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyseSettings:
    """How texts are understood."""

    operations: str = setting("language,sentences,tokens,entities", "Operations, in order, comma separated")
    max_chars: int = setting(100_000, "Longest text analysed; the rest is left out", unit="characters", least=1)
    cache_size: int = setting(1_000, "Analyses remembered by content", least=0)
    cache_mb: float = setting(16.0, "Most MiB of them", unit="MiB", least=0)
    timeout_s: float = setting(
        30.0, "Longest analysis; the program that runs it is then started anew", unit="s", least=0.1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedSettings:
    """Vectors of texts."""

    provider: str = setting(
        "minilm",
        "minilm (CTranslate2, int8), minilm-openvino, sentence-transformers, openai (or a server that speaks the same), or hashing (tests)",
        choices=("minilm", "minilm-openvino", "sentence-transformers", "openai", "hashing"),
    )
    model: str = setting(
        "",
        "Path or hub id for sentence-transformers, name for openai; empty uses the installed MiniLM, or text-embedding-3-small",
    )
    url: str = setting("", "Address of the server that speaks OpenAI's embeddings API, up to /v1; empty is OpenAI's")
    key: str = setting("", "API key for it", secret=True)
    timeout_s: float = setting(10.0, "Longest wait for its answer", unit="s", least=0.1)
    batch_size: int = setting(64, "Most texts of one forward pass", least=1)
    batch_wait_ms: float = setting(2.0, "Longest wait for a fuller batch", unit="ms", least=0)
    cache_size: int = setting(10_000, "Vectors remembered by content hash", least=0)
    threads: int = setting(1, "Threads of the model", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """The vector store."""

    uri: str = setting(
        "",
        "Milvus URI, or a file path for Milvus Lite; empty is a file in the data directory; `memory` keeps vectors in the process (tests)",
    )
    token: str = setting("", "Milvus token", secret=True)
    collection: str = setting("forgestream_chunks", "Collection of the chunks")
    timeout_s: float = setting(5.0, "Longest wait for one call", unit="s", least=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """How documents become chunks."""

    chunk_chars: int = setting(600, "Longest chunk", unit="characters", least=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveSettings:
    """How passages are found and chosen."""

    candidates: int = setting(12, "Nearest chunks that are looked at", least=1)
    keep: int = setting(4, "Most chunks that become context", least=1)
    min_relevance: float = setting(0.35, "Chunks below this are dropped", least=0, most=1)
    diversity: float = setting(
        0.2, "Weight of being unlike the chunks already kept, against relevance", least=0, most=0.9
    )
    static_packs: str = setting(
        "",
        "Directory of context for when nothing else can be had: <context_pack_id>.json and <domain>.json, as DataForge's packs",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeSettings:
    """How prompts are made."""

    budget_tokens: int = setting(
        8000, "Most tokens of a prompt, counted with the model's own tokenizer", unit="tokens", least=64
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """Which models answer, and how failures are met."""

    models: str = setting(
        "auto",
        "Models of the chain, first choice first, comma separated; auto is smollm2, the cheapest model of each provider whose keys are set, extractive; see docs/routing.md",
    )
    overflow_models: str = setting(
        "",
        "Models asked when a prompt is longer than a model's window, in this order; empty asks those of the chain with a larger window",
    )
    refusal_models: str = setting(
        "",
        "Models asked when one refuses for its content policy, in this order; empty asks the rest of the chain, none asks nobody",
    )
    strategy: str = setting(
        "domain_optimized",
        "Strategy of requests that name none",
        choices=("domain_optimized", "cost_optimized", "speed_optimized", "quality_optimized"),
    )
    explore_share: float = setting(
        0.1, "Share of requests that go to challengers, so that they can prove themselves", least=0, most=1
    )
    explore_most: float = setting(
        0.5,
        "The share grows with the evidence for a challenger, to this at most; more than explore_share",
        least=0,
        most=1,
    )
    tries: int = setting(
        2, "Most calls of one model for one request; another one follows transient failures only", least=1, most=10
    )
    retry_pause_s: float = setting(
        0.1, "Pause before another try when the provider wishes none; it doubles each time", unit="s", least=0
    )
    retry_wait_s: float = setting(
        2.0,
        "Longest that failures of a model and pauses between them may take while another model can be asked",
        unit="s",
        least=0,
    )
    reserve_s: float = setting(
        15.0,
        "Time kept back of the deadline for the next model, but never more than half of what is left",
        unit="s",
        least=0,
    )
    hedge_share: float = setting(
        0.05,
        "Share of requests that may ask the next provider when a model keeps silent for too long; 0 never does",
        least=0,
        most=1,
    )
    hedge_latest_s: float = setting(
        10.0,
        "Longest silence of a model before the next provider is asked besides; sooner when its p95 is shorter",
        unit="s",
        least=0,
    )
    context_tokens: int = setting(2048, "Context window of the in-process model", unit="tokens", least=256)
    threads: int = setting(2, "Threads of the in-process model", least=1)
    parallel: int = setting(2, "Answers the in-process model writes at once", least=1)
    catalogue: str = setting(
        "", "TOML file with more models, prices and servers, before those that ship; see docs/providers.md"
    )
    anthropic_keys: str = setting(
        "",
        "API keys, separated by commas or lines; the next one takes over when one is refused or over its limit",
        secret=True,
    )
    anthropic_url: str = setting("https://api.anthropic.com", "Base URL of the Anthropic API")
    openai_keys: str = setting("", "As the keys of Anthropic", secret=True)
    openai_url: str = setting("https://api.openai.com/v1", "Base URL of the OpenAI API")
    compatible_keys: str = setting("", "As the keys of Anthropic; empty sends none", secret=True)
    compatible_url: str = setting(
        "", "Base URL of any server that speaks OpenAI's chat completions (vLLM, llama.cpp, LM Studio), with its /v1"
    )
    ollama_url: str = setting("http://127.0.0.1:11434", "Base URL of Ollama")
    proxy: str = setting("", "HTTP proxy for model providers; those of the shell are not used", secret=True)
    connections: int = setting(64, "Most calls of one model under way at once", least=1)
    queue_s: float = setting(
        0.25, "Longest wait for one of these calls to end while another model can be asked", unit="s", least=0
    )
    connect_s: float = setting(5.0, "Longest wait for a connection to a provider", unit="s", least=0.05)
    first_token_s: float = setting(30.0, "Longest wait for the first token of a provider", unit="s", least=0.05)
    stall_s: float = setting(15.0, "Longest wait between two tokens of a provider", unit="s", least=0.05)
    answer_s: float = setting(120.0, "Longest answer of a provider", unit="s", least=0.05)
    answer_mb: float = setting(4.0, "Most bytes of one answer on the wire", unit="MiB", least=0.001)
    key_rest_s: float = setting(
        20.0, "Rest of an API key that is over its limit, when the provider does not say how long", unit="s", least=0
    )
    flush_ms: float = setting(250.0, "A token buffer is sent at the latest after this", unit="ms", least=1)
    flush_tokens: int = setting(16, "A token buffer is sent at this size; it grows to it from one", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Answers that are given again; docs/routing.md says to whom and when."""

    exact: str = setting(
        "on",
        "Whether the same ask at temperature 0, of the same tenant and passages, gets the same answer again",
        choices=("on", "off"),
    )
    semantic: str = setting(
        "off",
        "Whether a question that is near one asked before gets its answer; a near question can mean another thing",
        choices=("on", "off"),
    )
    similar_literary: float = setting(0.95, "Cosine from which literary questions count as near", least=0.5, most=1)
    similar_market: float = setting(0.98, "Cosine from which market questions count as near", least=0.5, most=1)
    similar_general: float = setting(0.96, "Cosine from which general questions count as near", least=0.5, most=1)
    verify_share: float = setting(
        0.05,
        "Share of semantic hits that are asked anew and compared; the metrics tell how many differed",
        least=0,
        most=1,
    )
    agree_at: float = setting(0.85, "Cosine from which a fresh answer counts as saying the same", least=0, most=1)
    ttl_s: float = setting(3600.0, "Longest an answer is given again", unit="s", least=1)
    entries: int = setting(10_000, "Most answers kept in this process when no Redis is named", least=0)
    mb: float = setting(32.0, "Most bytes of them", unit="MiB", least=0)
    near_answers: int = setting(200, "Most answers per scope that near questions are compared with", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings:
    """How answers are judged."""

    pass_mark: float = setting(0.5, "Overall score from which an answer passes", least=0, most=1)
    judge: str = setting(
        "",
        "Model that judges beside the rules, as in FORGESTREAM_ROUTE_MODELS; `same` is whoever answered; empty is none; see docs/judging.md",
    )
    judge_weight: float = setting(
        0.5, "Share of the judge in the overall score of an answer it has judged", least=0, most=1
    )
    judge_share: float = setting(1.0, "Share of the answers that are judged by a model", least=0, most=1)
    judge_timeout_s: float = setting(
        30.0, "Longest wait for the judge; the deadline of the request may be sooner", unit="s", least=0.05
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSettings:
    """How champions are chosen; docs/champions.md measures what the defaults do."""

    alpha: float = setting(0.2, "Weight of the newest verdict in the moving average", least=0.001, most=1)
    window: int = setting(50, "Verdicts kept for trend and spread", least=1)
    challenge_by: str = setting(
        "headroom",
        "What the margin is a share of: score (of the champion's), or headroom (the smaller of its score and what it lacks to 1)",
        choices=("score", "headroom"),
    )
    challenge_margin: float = setting(0.2, "Share by which a challenger must lead the champion", least=0)
    false_alarm: float = setting(
        0.01,
        "Share of comparisons after which a challenger that is no better may look better by chance; 1 does not ask",
        least=1e-9,
        most=1,
    )
    min_samples: int = setting(5, "Verdicts a model needs before it can be promoted", least=1)
    trial: int = setting(
        100, "Verdicts on a new champion during which it is rolled back when it falls below the one before", least=0
    )
    max_latency_ms: float = setting(
        30_000.0, "A model that takes longer on average is not promoted", unit="ms", least=0
    )
    max_cost_usd: float = setting(
        1.0, "A model whose answers cost more on average is not promoted", unit="USD", least=0
    )
    remembered: int = setting(
        1024, "Verdicts per cell recognised when they come again, as they do after a kill", least=1, most=65_536
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """When circuits open."""

    failure_threshold: int = setting(5, "Consecutive failures that open a circuit", least=1)
    window_s: float = setting(60.0, "A run of failures older than this starts anew", unit="s", least=1)
    window_calls: int = setting(50, "Calls that failure rate and slow-call rate are taken of", least=1, most=10_000)
    min_calls: int = setting(20, "Calls needed before a rate can open a circuit", least=1)
    failure_rate: float = setting(0.5, "Share of failed calls that opens a circuit", least=0.01, most=1)
    slow_rate: float = setting(0.8, "Share of slow calls that opens a circuit", least=0.01, most=1)
    slow_call_s: float = setting(20.0, "A call that takes longer is slow", unit="s", least=0.001)
    recovery_s: float = setting(60.0, "An open circuit lets a probe through after this", unit="s", least=0.1)
    probe_s: float = setting(
        10.0, "Time a probe has before another one may follow; one at a time in the whole cluster", unit="s", least=0.1
    )
    remembered: int = setting(512, "Outcomes per dependency recognised when they come again", least=1, most=65_536)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataForgeSettings:
    """Where context packs come from and feedback goes; docs/context.md says what happens without it."""

    url: str = setting("", "Base URL of DataForge; empty has no packs and keeps feedback on its topic")
    api_key: str = setting("", "API key", secret=True)
    timeout_s: float = setting(5.0, "Longest wait for one call", unit="s", least=0.1)
    retry_initial_s: float = setting(2.0, "First pause before feedback is tried again", unit="s", least=0.01)
    retry_max_s: float = setting(
        8.0, "Longest pause between tries; feedback is tried for as long as DataForge is down", unit="s", least=0.01
    )
    pack_retries: int = setting(3, "Times a pack that could not be had is asked for again", least=0, most=10)
    pack_retry_s: float = setting(2.0, "First pause before that; each is twice the one before", unit="s", least=0)
    pack_reserve_s: float = setting(
        10.0, "Time before the deadline of a request that waiting for its pack must leave", unit="s", least=0
    )
    pack_ttl_s: float = setting(3600.0, "A pack older than this is fetched again", unit="s", least=0)
    pack_stale_s: float = setting(
        86_400.0,
        "An older or changed pack serves, marked, while the current one cannot be had; at most for this long",
        unit="s",
        least=1,
        most=518_400,
        why="less than `invalidations` are kept",
    )
    packs: int = setting(1_000, "Packs kept in the process; with a Redis they are kept there", least=1)
    packs_mb: float = setting(64.0, "Most MiB of packs kept in the process", unit="MiB", least=1)
    pack_mb: float = setting(2.0, "Largest pack that is kept", unit="MiB", least=0.001)
    warm: str = setting("", "Packs fetched before anybody asks, comma separated")
    health_path: str = setting("/health", "Where DataForge says that it is well")
    health_s: float = setting(
        5.0, "Time between looks at its health; 0 does not look, and requests find out", unit="s", least=0
    )
    webhook_port: int = setting(
        0, "Port on which DataForge tells that a pack has changed; 0 serves none", least=0, most=65535
    )
    webhook_host: str = setting("127.0.0.1", "Address the webhook binds to")
    webhook_secret: str = setting(
        "", "Secret that signs what DataForge sends; at least 16 characters, and none of anybody else", secret=True
    )
    parallel: int = setting(8, "Most calls under way at once", least=1)
    batch_records: int = setting(
        1,
        "Most feedback records of one call; more than 1 sends lists, for a DataForge that takes them",
        least=1,
        why="the contract has calls for single records only",
    )
    batch_mb: float = setting(1.0, "Most MiB of one call with several records", unit="MiB", least=0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """Ratings of persons."""

    grace_s: float = setting(
        30.0, "A rating waits for the result of its request until this long after its deadline", unit="s", least=0
    )
    wait_s: float = setting(
        120.0,
        "A rating waits no longer than this, whatever its deadline; then it is a dead letter",
        unit="s",
        least=0,
        why="a record that waits holds back the commits of its partition",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeSettings:
    """What is proposed to Sophia."""

    answers: str = setting(
        "auto",
        "on proposes good answers that rest on passages, off does not, auto does when FORGESTREAM_SOPHIA_URL is set",
        choices=("auto", "on", "off"),
    )
    max_chars: int = setting(20_000, "Longest text of a proposal", unit="characters", least=1)
    most_facts: int = setting(200, "Most nodes, and most edges, of a proposal", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SophiaSettings:
    """Where proposals go."""

    url: str = setting("", "Base URL of Sophia; empty keeps proposals on their topic")
    token: str = setting(
        "",
        "Bearer token; SOPHIA_API_KEY or SOPHIA_API_TOKEN when absent",
        secret=True,
        also=("SOPHIA_API_KEY", "SOPHIA_API_TOKEN"),
    )
    timeout_s: float = setting(10.0, "Longest wait for one call", unit="s", least=0.1)
    retry_initial_s: float = setting(2.0, "First pause before a proposal is tried again", unit="s", least=0.01)
    retry_max_s: float = setting(
        8.0, "Longest pause between tries; proposals are tried for as long as Sophia is down", unit="s", least=0.01
    )
    parallel: int = setting(4, "Most calls under way at once", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Logs and traces."""

    log_level: str = setting(
        "info", "Least severe log line that is written", choices=("debug", "info", "warning", "error")
    )
    log_format: str = setting("json", "json for machines, text for people", choices=("json", "text"))
    otlp_endpoint: str = setting("", "OTLP/HTTP endpoint for traces; empty exports none")
    health_port: int = setting(0, "Port of /live, /ready and /metrics on loopback; 0 serves none", least=0, most=65535)
    health_host: str = setting("127.0.0.1", "Address the health port binds to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole tree."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    embedded: EmbeddedSettings = field(default_factory=EmbeddedSettings)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    admit: AdmitSettings = field(default_factory=AdmitSettings)
    transcribe: TranscribeSettings = field(default_factory=TranscribeSettings)
    synthesize: SynthesizeSettings = field(default_factory=SynthesizeSettings)
    analyse: AnalyseSettings = field(default_factory=AnalyseSettings)
    screen: ScreenSettings = field(default_factory=ScreenSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    remember: RememberSettings = field(default_factory=RememberSettings)
    profile: ProfileSettings = field(default_factory=ProfileSettings)
    embed: EmbedSettings = field(default_factory=EmbedSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    retrieve: RetrieveSettings = field(default_factory=RetrieveSettings)
    compose: ComposeSettings = field(default_factory=ComposeSettings)
    route: RouteSettings = field(default_factory=RouteSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)
    rank: RankSettings = field(default_factory=RankSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    dataforge: DataForgeSettings = field(default_factory=DataForgeSettings)
    rate: RateSettings = field(default_factory=RateSettings)
    propose: ProposeSettings = field(default_factory=ProposeSettings)
    sophia: SophiaSettings = field(default_factory=SophiaSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    @property
    def proposes_answers(self) -> bool:
        """Whether good answers are proposed to Sophia."""
        return self.propose.answers == "on" or (self.propose.answers == "auto" and bool(self.sophia.url))

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Read every setting from the environment.

        Raises:
            SettingsInvalid: with all problems at once, unknown names included.
        """
        problems: list[str] = []
        known: set[str] = set()
        sections: dict[str, Any] = {}
        for section in fields(cls):
            section_type = typing.cast("Callable[..., Any]", section.default_factory)
            values: dict[str, Any] = {}
            hints = typing.get_type_hints(section_type)
            for declared in fields(section_type):  # type: ignore[arg-type]
                name = environment_name(section.name, declared)
                known |= {name, f"{name}_FILE"}
                raw = _raw(environ, name, problems)
                raw = raw if raw is not None else _first(environ, declared.metadata["also"])
                if raw is not None:
                    values[declared.name] = _parsed(name, raw, hints[declared.name], declared, problems)
            sections[section.name] = section_type(**{k: v for k, v in values.items() if v is not None})
        problems += [
            f"{name} is not a setting; `forgestream settings` lists them all"
            for name in sorted(environ)
            if name.startswith(PREFIX) and name not in known
        ]
        if problems:
            raise SettingsInvalid(problems)
        return cls(**sections)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingReference:
    """One row of `forgestream settings`."""

    name: str
    value: str
    default: str
    unit: str
    meaning: str
    why: str


def listed(names: str) -> Sequence[str]:
    """Return the names in a setting that lists some, separated by commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def environment_name(section: str, declared: "Field[Any]") -> str:
    """Name of the environment variable of a setting."""
    return declared.metadata.get("env") or f"{PREFIX}{section.upper()}_{declared.name.upper()}"


def reference(settings: Settings) -> Iterator[SettingReference]:
    """List every setting with its value, secrets masked."""
    for section in fields(settings):
        branch = getattr(settings, section.name)
        for declared in fields(branch):
            documentation = declared.metadata
            value = getattr(branch, declared.name)
            yield SettingReference(
                name=environment_name(section.name, declared),
                value="***" if documentation["secret"] and value else str(value),
                default="" if declared.default is MISSING else str(declared.default),
                unit=documentation["unit"],
                meaning=documentation["meaning"],
                why=documentation["why"],
            )


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)


def _raw(environ: Mapping[str, str], name: str, problems: list[str]) -> str | None:
    from_file = environ.get(f"{name}_FILE")
    if from_file is None or name in environ:
        return environ.get(name)
    try:
        return Path(from_file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        problems.append(f"{name}_FILE: cannot read {from_file} ({type(error).__name__})")
        return None


def _parsed(name: str, raw: str, kind: object, declared: "Field[Any]", problems: list[str]) -> object:
    documentation = declared.metadata
    shown = "***" if documentation["secret"] else repr(raw)
    value: object
    try:
        value = raw if kind is str else typing.cast("Callable[[str], object]", kind)(raw)
    except ValueError:
        problems.append(f"{name} must be {'a whole number' if kind is int else 'a number'}, not {shown}")
        return None
    never = documentation["never"]
    if never and never in raw:
        problems.append(f"{name} must not hold {never!r}: {documentation['meaning']} ({documentation['why']})")
        return None
    choices, least, most = documentation["choices"], documentation["least"], documentation["most"]
    if choices and value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        problems.append(
            f"{name} must be one of {allowed}, not {shown}"
            + (f" ({documentation['meaning']})" if len(choices) == 1 else "")
        )
        return None
    if isinstance(value, int | float) and not (
        (-LARGEST if least is None else least) <= value <= (LARGEST if most is None else most)
    ):
        bounds = " and ".join(
            part
            for part in (
                f"at least {least:g}" if least is not None else "",
                f"at most {most:g}" if most is not None else "",
            )
            if part
        )
        problems.append(f"{name} must be {bounds or 'a number'}, not {shown}")
        return None
    return value
