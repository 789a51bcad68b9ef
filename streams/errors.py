"""The one error taxonomy. The class decides what happens to a record, not the place that raised it.

PipelineError
├── Transient                     retried in place with backoff until the deadline, then a dead letter
│   ├── ProviderUnavailable       a model provider did not answer
│   ├── StoreUnavailable          the vector store did not answer
│   ├── DataForgeUnavailable      DataForge did not answer
│   ├── ProfileUnavailable        nobody says who asks
│   ├── SophiaUnavailable         Sophia did not answer
│   ├── AnswerPending             what was rated has no result yet
│   ├── HistoryUnavailable        the broker did not show a result of the past
│   ├── SpeechUnavailable         a speech model or engine did not answer
│   └── SchemaNotLoaded           the writer's schema is not here yet
├── Permanent                     a dead letter at once
│   ├── Undecodable               bytes that are no record of this topic
│   ├── RecordInvalid             a record that cannot be encoded
│   ├── RequestRejected           a request that is not taken: a result says why, no dead letter
│   │   ├── RequestInvalid        a request with problems, all listed
│   │   │   ├── AudioInvalid      audio that cannot be decoded, or is not as announced
│   │   │   ├── NothingHeard      audio without speech
│   │   │   └── TranscriptDoubtful  speech that was not understood well enough
│   │   ├── AudioOverload         more audio at once than there is room for
│   │   ├── InjectionSuspected    the text tries to give the model new instructions
│   │   └── RateLimited           the tenant or the user has asked too much
│   ├── ProviderRefused           a provider said no: wrong key, unknown model
│   │   ├── ContentRefused        its content policy forbids to answer
│   │   └── ContextOverflow       the prompt is longer than the model's context window
│   ├── DataForgeRefused          DataForge rejected a call
│   │   ├── PackNotFound          it has no such pack
│   │   └── PackInvalid           what it has is no pack
│   ├── SophiaRefused             Sophia rejected a proposal
│   ├── AnswerUnknown             what was rated has no result
│   ├── NoProviderLeft            every model of the chain failed or is excluded
│   └── HandlerFailed             a bug: an exception outside this taxonomy
├── AnswerRefused                 there is an answer, but the result does not show it; reported, never raised
│   ├── StrictRefused             a strict request could only be answered degraded
│   └── AnswerWithheld            the answer is empty or leaks its instructions
├── HedgeLost                     another model was quicker; reported, never raised
├── DeadlineExceeded              the request expired
├── DeliveryFailed                the broker did not confirm an output; the worker stops and the record is read again
├── TableLost                     a table's changelog lacks changes that were acknowledged; the worker refuses to go on
├── ConsumerLost                  the group or the fetches ended for good; the worker stops
├── WorkerStalled                 commits, heartbeats or fetches stand still; the worker stops
├── PageUnavailable               a file or page that is to be known cannot be read
└── StartRefused                  the worker cannot start
    ├── SettingsInvalid           settings with problems, all listed
    ├── BrokerUnreachable         no Kafka at the address
    ├── ModelMissing              a model file or package is not installed
    └── EmbeddedStackFailed       the embedded Kafka could not be prepared or started
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from schemas.records import ErrorReport, RateLimit, Severity, Status


class PipelineError(Exception):
    """Root. `code` is stable and documented; `retryable` and `ends_as` are the whole policy.

    `ends_as` is the status of the request whose record is given up. What `failed` also leaves a dead letter; what was rejected or
    expired needs nobody's care and leaves none.
    """

    code: ClassVar[str] = "pipeline_error"
    retryable: ClassVar[bool] = False
    ends_as: ClassVar[Status] = Status.FAILED
    severity: ClassVar[Severity] = Severity.ERROR

    def __init__(self, message: str, *, context: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.context: Mapping[str, str] = dict(context or {})

    def report(self, at: datetime) -> ErrorReport:
        """Return the error as records and HTTP answers carry it."""
        cause = self.__cause__
        return ErrorReport(
            error_code=self.code,
            message=self.message,
            severity=self.severity,
            context=self.context,
            cause=f"{type(cause).__name__}: {cause}" if cause else None,
            timestamp=at,
        )


class Transient(PipelineError):
    """May succeed when tried again. `retry_after_s` is the other side's own wish, when it gave one."""

    code = "transient"
    retryable = True
    severity = Severity.WARNING

    def __init__(
        self, message: str, *, context: Mapping[str, str] | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, context=context)
        self.retry_after_s = retry_after_s


class ProviderUnavailable(Transient):
    """A model provider did not answer. Operator: runbook `breaker-open`."""

    code = "provider_unavailable"


class ProviderBusy(Transient):
    """As many calls of a model were under way as are allowed, and none ended in time. Operator: FORGESTREAM_ROUTE_CONNECTIONS."""

    code = "provider_busy"


class StoreUnavailable(Transient):
    """The vector store did not answer. Operator: runbook `vector-store-down`."""

    code = "store_unavailable"


class DataForgeUnavailable(Transient):
    """DataForge did not answer; feedback waits on its topic. Operator: runbook `dataforge-down`."""

    code = "dataforge_unavailable"


class ProfileUnavailable(Transient):
    """The profile service did not answer; answers come without, marked. Operator: look at FORGESTREAM_PROFILE_URL."""

    code = "profile_unavailable"
    severity = Severity.WARNING


class SophiaUnavailable(Transient):
    """Sophia did not answer; proposals wait on their topic. Operator: runbook `sophia-down`."""

    code = "sophia_unavailable"


class AnswerPending(Transient):
    """A rating came before the result of its request. It waits for FORGESTREAM_RATE_WAIT_S at most; redrive it when the result is there."""

    code = "answer_pending"


class HistoryUnavailable(Transient):
    """The broker did not show the results of the past for as long as a rating waits. Operator: runbook `lag-grows`, then redrive."""

    code = "history_unavailable"


class SpeechUnavailable(Transient):
    """A speech model or engine did not answer. Operator: the next rung of the ladder speaks meanwhile; see docs/voice.md."""

    code = "speech_unavailable"


class SchemaNotLoaded(Transient):
    """A record was written with a schema id that is not in memory; the registry is asked for it."""

    code = "schema_not_loaded"

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema {schema_id} is not loaded", context={"schema_id": str(schema_id)})
        self.schema_id = schema_id


class Permanent(PipelineError):
    """Fails the same way every time."""

    code = "permanent"


class Undecodable(Permanent):
    """The value is not a record of this topic. Operator: `forgestream dead-letters`, then mend the producer."""

    code = "undecodable"


class RecordInvalid(Permanent):
    """A record breaks its own schema or limits. Operator: a bug in the stage named, or a hostile input."""

    code = "record_invalid"


class RequestRejected(Permanent):
    """A request is not taken. What the limits say and how risky the text is goes into its result."""

    code = "request_rejected"
    severity = Severity.INFO
    ends_as = Status.REJECTED
    limits: tuple[RateLimit, ...] = ()
    risk: float = 0.0


class RequestInvalid(RequestRejected):
    """A request has problems; `problems` lists every one."""

    code = "request_invalid"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class AudioInvalid(RequestInvalid):
    """Audio that cannot be decoded, is not what it says, is too long or too large, or never came whole."""

    code = "audio_invalid"


class NothingHeard(RequestInvalid):
    """Audio in which nobody speaks: silence, music or noise."""

    code = "nothing_heard"


class TranscriptDoubtful(RequestInvalid):
    """Speech whose transcript is less certain than FORGESTREAM_TRANSCRIBE_REFUSE_BELOW."""

    code = "transcript_doubtful"


class AudioOverload(RequestRejected):
    """More audio at once than a worker has room for. Operator: more workers, or more FORGESTREAM_TRANSCRIBE_IN_FLIGHT_MB."""

    code = "audio_overload"
    severity = Severity.WARNING


class InjectionSuspected(RequestRejected):
    """The text tries to give the model new instructions. Operator: docs/screen.md says how to look and what to change."""

    code = "injection_suspected"
    severity = Severity.WARNING

    def __init__(self, risk: float, reasons: Sequence[str], version: str) -> None:
        super().__init__(
            f"the text looks like an attempt to give the model new instructions ({', '.join(reasons)}); say it in other words",
            context={"risk": f"{risk:.3f}", "reasons": "; ".join(reasons), "screen": version},
        )
        self.risk = risk


class RateLimited(RequestRejected):
    """The tenant or the user has asked too much; the result says when it may ask again."""

    code = "rate_limited"

    def __init__(self, limits: Sequence[RateLimit], exceeded: RateLimit) -> None:
        super().__init__(
            f"the limit of {exceeded.limit:,} {exceeded.name} is reached; ask again after {exceeded.reset_at.isoformat()}",
            context={
                "limit": str(exceeded.limit),
                "remaining": str(exceeded.remaining),
                "reset_at": exceeded.reset_at.isoformat(),
            },
        )
        self.limits = tuple(limits)


class ProviderRefused(Permanent):
    """A provider said no: wrong key, unknown model. Operator: check key and model name."""

    code = "provider_refused"


class ContentRefused(ProviderRefused):
    """The content policy of a provider forbids to answer; another one may answer."""

    code = "content_refused"
    severity = Severity.WARNING


class ContextOverflow(ProviderRefused):
    """The prompt is longer than the model's context window; a model with a larger one may answer."""

    code = "context_overflow"
    severity = Severity.WARNING


class DataForgeRefused(Permanent):
    """DataForge rejected a call (4xx). Operator: compare its contract version with docs/contracts."""

    code = "dataforge_refused"


class PackNotFound(DataForgeRefused):
    """DataForge has no context pack of that id; the answer rests on other context."""

    code = "pack_not_found"
    severity = Severity.WARNING


class PackInvalid(DataForgeRefused):
    """What DataForge has is no context pack: no text in it at all. Operator: look at the pack in DataForge."""

    code = "pack_invalid"
    severity = Severity.WARNING


class SophiaRefused(Permanent):
    """Sophia rejected a proposal (4xx, or not `accepted`). Operator: the answer is in the dead letter; mend token or version, redrive."""

    code = "sophia_refused"


class AnswerUnknown(Permanent):
    """A rating names a request without a result, or another conversation than its own. Operator: mend the producer, redrive."""

    code = "answer_unknown"


class NoProviderLeft(Permanent):
    """Every model of the chain failed, is excluded or has an open circuit. Operator: runbook `breaker-open`."""

    code = "no_provider_left"


class HandlerFailed(Permanent):
    """An exception outside the taxonomy: a bug. The cause and its stack trace are in the dead letter."""

    code = "handler_failed"
    severity = Severity.CRITICAL


class AnswerRefused(PipelineError):
    """There is an answer, but the result does not show it. Reported in the result, never raised."""

    code = "answer_refused"
    severity = Severity.WARNING


class StrictRefused(AnswerRefused):
    """A strict request could only be answered degraded. Operator: the result lists what could not be had."""

    code = "strict_refused"


class AnswerWithheld(AnswerRefused):
    """The answer is empty or leaks its instructions. Operator: look at the evaluation of the request."""

    code = "answer_withheld"


class HedgeLost(PipelineError):
    """A model kept silent for too long, and another one that was asked besides spoke first. Only on `outcomes`."""

    code = "hedge_lost"
    severity = Severity.INFO


class DeadlineExceeded(PipelineError):
    """The request's deadline passed before the stage was done."""

    code = "deadline_exceeded"
    severity = Severity.WARNING
    ends_as = Status.EXPIRED


class DeliveryFailed(PipelineError):
    """The broker did not confirm an output. The worker stops; the input is read again after its restart."""

    code = "delivery_failed"
    severity = Severity.CRITICAL


class TableLost(PipelineError):
    """A table's changelog lacks changes that were acknowledged: deleted, made anew, truncated. Operator: runbook `changelog-lost`."""

    code = "table_lost"
    severity = Severity.CRITICAL


class ConsumerLost(PipelineError):
    """The group or the fetches ended for good, or access was refused. The worker stops; its restart joins again."""

    code = "consumer_lost"
    severity = Severity.CRITICAL


class WorkerStalled(PipelineError):
    """Commits, heartbeats or fetches stand still though a broker answers. The worker stops. Operator: runbook `lag-grows`."""

    code = "worker_stalled"
    severity = Severity.CRITICAL


class PageUnavailable(PipelineError):
    """A file or page cannot be read; `forgestream ingest` names it and goes on with the others."""

    code = "page_unavailable"


class StartRefused(PipelineError):
    """The worker cannot start; the message says what to do. Exit code 2."""

    code = "start_refused"
    severity = Severity.CRITICAL


class SettingsInvalid(StartRefused):
    """Settings with problems; `problems` lists every one."""

    code = "settings_invalid"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("settings are invalid:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = tuple(problems)


class BrokerUnreachable(StartRefused):
    """No Kafka broker answered at the address."""

    code = "broker_unreachable"


class ModelMissing(StartRefused):
    """A model file or package is not installed."""

    code = "model_missing"


class EmbeddedStackFailed(StartRefused):
    """The embedded Kafka could not be prepared or started."""

    code = "embedded_stack_failed"
