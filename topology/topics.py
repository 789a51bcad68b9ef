"""Every topic, declared once: what it carries, under which key, who writes it, and how the broker keeps it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from schemas.records import (
    Alert,
    Analysis,
    Answer,
    Attack,
    AudioChunk,
    CircuitState,
    Command,
    Context,
    Decision,
    Duplicate,
    Effect,
    Embedding,
    Evaluation,
    Feedback,
    Invalidation,
    KnowledgeDocument,
    Origin,
    Outcome,
    Prompt,
    Proposal,
    Ranking,
    Rating,
    Redrive,
    Request,
    Result,
    SophiaProposal,
    SpeechChunk,
    SpeechRequest,
    TextQuery,
    TokenEvent,
    Transcript,
    Usage,
    Verdict,
)
from streams.settings import KafkaSettings
from streams.topic import Topic, of_tenant, request_key

REQUEST_KEY = "tenant#session_id or tenant#request_id"
PRODUCERS = "producers"
OPERATORS = "operators"
ENGINE = "engine"

DAY = timedelta(days=1)
WEEK = timedelta(days=7)  # what a replay can read again
MONTH = timedelta(days=30)  # what a person looks for after the fact, or an outage must not lose
MESSAGE_BYTES = 1024 * 1024  # Kafka's own default
EFFECT_BYTES = MESSAGE_BYTES + 64 * 1024  # the largest answer, and who asked
DOCUMENT_BYTES = 4 * 1024 * 1024
DEAD_LETTER_BYTES = DOCUMENT_BYTES + 256 * 1024  # the largest input, its headers and a stack trace


class HasOrigin(Protocol):
    """A record of the request path."""

    @property
    def origin(self) -> Origin:
        """Who asked."""


P = TypeVar("P", bound=HasOrigin)
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """One field per topic. Fields use underscores, Kafka names dashes and the prefix of the settings."""

    texts: Topic[TextQuery]
    proposals: Topic[Proposal]
    ratings: Topic[Rating]
    audio: Topic[AudioChunk]
    transcripts: Topic[Transcript]
    knowledge: Topic[KnowledgeDocument]
    commands: Topic[Command]
    attacks: Topic[Attack]
    requests: Topic[Request]
    duplicates: Topic[Duplicate]
    analyses: Topic[Analysis]
    embeddings: Topic[Embedding]
    contexts: Topic[Context]
    prompts: Topic[Prompt]
    decisions: Topic[Decision]
    answers: Topic[Answer]
    tokens: Topic[TokenEvent]
    outcomes: Topic[Outcome]
    effects: Topic[Effect]
    evaluations: Topic[Evaluation]
    verdicts: Topic[Verdict]
    results: Topic[Result]
    feedback: Topic[Feedback]
    speech_requests: Topic[SpeechRequest]
    speech: Topic[SpeechChunk]
    standings: Topic[Ranking]
    circuit_states: Topic[CircuitState]
    invalidations: Topic[Invalidation]
    sophia_proposals: Topic[SophiaProposal]
    usage: Topic[Usage]
    alerts: Topic[Alert]
    dead_letters: Topic[bytes]
    redrives: Topic[Redrive]

    @classmethod
    def of(cls, kafka: KafkaSettings) -> "Topics":
        """Return the topics of a deployment.

        All have the same number of partitions: a key stays on its partition from the first to the last stage, and a
        table on the partitions of the topics it is counted from.
        """
        declare = _Declare(kafka)
        return cls(
            texts=declare.request(
                "texts", TextQuery, PRODUCERS, "Questions as producers send them, not yet checked", ends_request=True
            ),
            proposals=declare.request(
                "proposals", Proposal, PRODUCERS, "Facts somebody wants Sophia to consider", retention=MONTH
            ),
            ratings=declare.request(
                "ratings",
                Rating,
                PRODUCERS,
                "What persons think of answers, and how they correct them",
                retention=MONTH,
            ),
            audio=declare.request(
                "audio", AudioChunk, PRODUCERS, "Pieces of clips and live speech", retention=DAY, ends_request=True
            ),
            transcripts=declare.request("transcripts", Transcript, "transcribe", "What was heard"),
            knowledge=declare.topic(
                "knowledge",
                KnowledgeDocument,
                PRODUCERS,
                "Documents to answer from; a tombstone deletes one",
                key=lambda document: document.document_id,
                key_name="document_id",
                compacted=True,
                max_message_bytes=DOCUMENT_BYTES,
            ),
            commands=declare.topic(
                "commands",
                Command,
                OPERATORS,
                "Orders: promote, demote, freeze, force open, reset, forget",
                key=lambda command: command.subject,
                key_name="cell, dependency or tenant#session_id",
                retention=MONTH,
            ),
            attacks=declare.topic(
                "attacks",
                Attack,
                OPERATORS,
                "Additions to the prompt-injection screen; a tombstone takes one back",
                key=lambda attack: attack.attack_id,
                key_name="attack_id",
                compacted=True,
            ),
            requests=declare.request(
                "requests", Request, "admit", "Admitted questions, every field checked and filled in", ends_request=True
            ),
            duplicates=declare.topic(
                "duplicates",
                Duplicate,
                "admit",
                "Requests that wait for the result of the one they repeat",
                key=_first_key,
                key_name="key of the first request",
                ends_request=True,
            ),
            analyses=declare.request(
                "analyses", Analysis, "analyse", "Language, sentences, tokens and entities of a request"
            ),
            embeddings=declare.request(
                "embeddings", Embedding, "embed", "Requests with the vector of their query", ends_request=True
            ),
            contexts=declare.request(
                "contexts", Context, "retrieve", "Requests with the passages found for them", ends_request=True
            ),
            prompts=declare.request(
                "prompts", Prompt, "compose", "Exactly what a model will be asked", ends_request=True
            ),
            decisions=declare.request(
                "decisions", Decision, "route", "Whom the router meant to ask, why, and whom not", retention=MONTH
            ),
            answers=declare.request(
                "answers", Answer, "route", "What a model said, with all that is needed to judge it", ends_request=True
            ),
            tokens=declare.request(
                "tokens", TokenEvent, "route", "Answers while they are being written", retention=DAY
            ),
            outcomes=declare.topic(
                "outcomes",
                Outcome,
                "route",
                "Calls of outside systems, for their circuits",
                key=lambda outcome: outcome.dependency,
                key_name="dependency",
            ),
            effects=declare.topic(
                "effects",
                Effect,
                "route",
                "What was done outside, so that it is not done twice",
                key=lambda effect: effect.effect_id,
                key_name="id of what was done",
                retention=DAY,
                compacted=True,
                max_message_bytes=EFFECT_BYTES,
                beside_source=True,
            ),
            evaluations=declare.request(
                "evaluations", Evaluation, "evaluate", "Answers with their scores", ends_request=True
            ),
            verdicts=declare.topic(
                "verdicts",
                Verdict,
                "evaluate",
                "Judged answers, for the champions",
                key=lambda verdict: verdict.cell,
                key_name="cell",
                retention=MONTH,
            ),
            results=declare.request(
                "results", Result, "publish", "The one terminal record of every request", retention=MONTH
            ),
            feedback=declare.topic(
                "feedback",
                Feedback,
                "publish",
                "What DataForge learns from answers",
                key=_feedback_key,
                key_name="context_pack_id or request_id",
                retention=MONTH,
            ),
            speech_requests=declare.request("speech-requests", SpeechRequest, "publish", "Answers to be spoken"),
            speech=declare.request(
                "speech",
                SpeechChunk,
                "synthesize",
                "Spoken sentences",
                retention=DAY,
                max_message_bytes=DOCUMENT_BYTES,
            ),
            standings=declare.topic(
                "standings",
                Ranking,
                "rank",
                "Newest ranking of every cell, for views",
                key=lambda ranking: ranking.cell,
                key_name="cell",
                compacted=True,
            ),
            circuit_states=declare.topic(
                "circuit-states",
                CircuitState,
                "watch",
                "Newest state of every circuit, for views",
                key=lambda circuit: circuit.dependency,
                key_name="dependency",
                compacted=True,
            ),
            invalidations=declare.topic(
                "invalidations",
                Invalidation,
                "index",
                "What caches must forget",
                key=lambda changed: changed.subject,
                key_name="subject",
            ),
            sophia_proposals=declare.request(
                "sophia-proposals", SophiaProposal, "propose", "Proposals as Sophia takes them", retention=MONTH
            ),
            usage=declare.topic(
                "usage",
                Usage,
                "audit",
                "Accounts of finished requests",
                key=lambda account: account.tenant,
                key_name="tenant",
                retention=MONTH,
            ),
            alerts=declare.topic(
                "alerts",
                Alert,
                "audit",
                "What a person should look at",
                key=lambda alert: alert.alert_id,
                key_name="alert_id",
                retention=MONTH,
            ),
            dead_letters=declare.topic(
                "dead-letters",
                bytes,
                ENGINE,
                "What failed: original key, bytes and headers, and why",
                key=_as_it_came,
                key_name="as it came",
                retention=MONTH,
                max_message_bytes=DEAD_LETTER_BYTES,
            ),
            redrives=declare.topic(
                "redrives",
                Redrive,
                OPERATORS,
                "Which dead letters were sent back, by whom and why",
                key=lambda redrive: redrive.letter_id,
                key_name="letter_id",
                retention=MONTH,
            ),
        )

    def __iter__(self) -> Iterator[Topic[Any]]:
        """Yield every topic in the order of the pipeline."""
        return (getattr(self, declared.name) for declared in fields(self))

    def named(self, name: str) -> Topic[Any] | None:
        """Return the topic of that Kafka name, or of that field name; None when there is none."""
        by_field = {declared.name: getattr(self, declared.name) for declared in fields(self)}
        by_name = {topic.name: topic for topic in self}
        unprefixed = {field.replace("_", "-"): topic for field, topic in by_field.items()}
        return by_name.get(name) or unprefixed.get(name) or by_field.get(name)


def _feedback_key(feedback: Feedback) -> str:
    return feedback.context_pack_id or feedback.origin.request_id


def _first_key(duplicate: Duplicate) -> str:
    return of_tenant(duplicate.origin.tenant, duplicate.first_session_id or duplicate.first_request_id)


def _as_it_came(_: bytes) -> str:
    raise TypeError("a dead letter keeps the key of the record that failed")


@dataclass(frozen=True, slots=True)
class _Declare:
    """Declares topics of one deployment."""

    kafka: KafkaSettings

    def topic(
        self,
        name: str,
        record: type[R],
        owner: str,
        doc: str,
        *,
        key: Callable[[R], str],
        key_name: str,
        retention: timedelta | None = None,
        compacted: bool = False,
        ends_request: bool = False,
        max_message_bytes: int = MESSAGE_BYTES,
        beside_source: bool = False,
    ) -> Topic[R]:
        """Declare a topic; it is kept for a week, or as the newest record of each key, unless it says for how long."""
        return Topic(
            name=f"{self.kafka.topic_prefix}{name}",
            record=record,
            key=key,
            key_name=key_name,
            owner=owner,
            partitions=self.kafka.partitions,
            doc=doc,
            retention=retention or (None if compacted else WEEK),
            compacted=compacted,
            ends_request=ends_request,
            max_message_bytes=max_message_bytes,
            beside_source=beside_source,
        )

    def request(
        self,
        name: str,
        record: type[P],
        owner: str,
        doc: str,
        *,
        retention: timedelta = WEEK,
        ends_request: bool = False,
        max_message_bytes: int = MESSAGE_BYTES,
    ) -> Topic[P]:
        """Declare a topic of the request path: its key keeps a conversation in order, from stage to stage."""
        return self.topic(
            name,
            record,
            owner,
            doc,
            key=lambda sent: request_key(sent.origin),
            key_name=REQUEST_KEY,
            retention=retention,
            ends_request=ends_request,
            max_message_bytes=max_message_bytes,
        )
