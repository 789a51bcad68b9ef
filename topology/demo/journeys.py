"""What happened, folded from the records that passed by: a pure function of what the tail has seen, in any order."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from schemas.records import (
    Answer,
    AudioChunk,
    CircuitState,
    Context,
    Embedding,
    Evaluation,
    Feedback,
    Invalidation,
    Prompt,
    Ranking,
    Request,
    Result,
    SpeechChunk,
    TextQuery,
    TokenEvent,
    TokenEventType,
    Transcript,
)

ASKED = ""  # the stage of what a producer sends
PATH = ("admit", "embed", "retrieve", "compose", "route", "evaluate", "publish")
ON_THE_WAY = (
    AudioChunk, TextQuery, Request, Embedding, Context, Prompt, Answer, Evaluation, Result, SpeechChunk,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One record as it was read from a topic; `record` is bytes on the dead-letter topic."""

    topic: str
    partition: int
    offset: int
    record: object
    stage: str
    sent_at_ms: float
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stage of a journey; `ms` runs from the sending of its input to the sending of its output, Kafka included."""

    stage: str
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One request from its question to its terminal result."""

    request_id: str
    sent_at_ms: Mapping[str, float] = field(default_factory=dict)
    writing: str = ""
    epoch: int = 0
    result: Result | None = None
    place: tuple[int, int] | None = None  # partition and offset of the result
    results: int = 0
    heard: Transcript | None = None  # of a question that was spoken
    spoken: tuple[SpeechChunk, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The stages passed so far, in the order of time; none before the question itself was seen."""
        if ASKED not in self.sent_at_ms:
            return ()
        before = self.sent_at_ms[ASKED]
        steps = []
        for stage, at in sorted(self.sent_at_ms.items(), key=lambda item: item[1]):
            if stage != ASKED:
                steps.append(Step(stage=stage, ms=max(0.0, at - before)))
                before = max(before, at)
        return tuple(steps)

    @property
    def complete(self) -> bool:
        """Whether its result is here and nothing before it is missing: topics are read independently of each other."""
        if self.result is None or ASKED not in self.sent_at_ms:
            return False
        judged = bool(self.result.scores) and self.result.duplicate_of is None  # a repetition goes no way of its own
        return not judged or all(stage in self.sent_at_ms for stage in PATH)

    @property
    def total_ms(self) -> float:
        """From the question to the newest record."""
        return sum(step.ms for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record that could not be handled, with what the engine wrote beside it."""

    topic: str
    partition: str
    offset: str
    stage: str
    error_code: str
    message: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything seen so far."""

    journeys: Mapping[str, Journey] = field(default_factory=dict)
    dead_letters: tuple[DeadLetter, ...] = ()
    rankings: Mapping[str, Ranking] = field(default_factory=dict)
    circuits: Mapping[str, CircuitState] = field(default_factory=dict)
    feedback: Mapping[str, Feedback] = field(default_factory=dict)
    indexed: frozenset[str] = frozenset()  # subjects whose chunks are in the vector store
    transitions: tuple[CircuitState, ...] = ()  # each in which a circuit came to say something else

    def journey(self, request_id: str) -> Journey:
        """Return the journey of a request, an empty one when nothing of it was seen."""
        return self.journeys.get(request_id, Journey(request_id=request_id))


def after(story: Story, seen: Seen) -> Story:
    """Return the story once `seen` is known. Records of other kinds change nothing."""
    record = seen.record
    if isinstance(record, bytes):
        return replace(story, dead_letters=(*story.dead_letters, _dead_letter(record, seen.headers)))
    if isinstance(record, (*ON_THE_WAY, Transcript, TokenEvent)):
        request_id = record.origin.request_id
        return replace(story, journeys={**story.journeys, request_id: _moved(story.journey(request_id), seen)})
    return _learned(story, record)


def _learned(story: Story, record: object) -> Story:
    match record:
        case Ranking():
            return replace(story, rankings={**story.rankings, record.cell: record})
        case CircuitState():
            before = story.circuits.get(record.dependency)
            turned = record.since is not None and (before is None or before.since != record.since)
            transitions = (*story.transitions, record) if turned else story.transitions
            return replace(story, circuits={**story.circuits, record.dependency: record}, transitions=transitions)
        case Feedback():
            return replace(story, feedback={**story.feedback, record.feedback_id: record})
        case Invalidation():
            return replace(story, indexed=story.indexed | {record.subject})
        case _:
            return story


def _moved(journey: Journey, seen: Seen) -> Journey:
    record = seen.record
    if isinstance(record, TokenEvent):
        return _written(journey, record)
    if isinstance(record, Transcript):
        return replace(journey, heard=record)
    # a redelivered record is sent again by its stage: the first sending counts
    journey = replace(journey, sent_at_ms={seen.stage: seen.sent_at_ms, **journey.sent_at_ms})
    if isinstance(record, SpeechChunk):
        return replace(journey, spoken=(*journey.spoken, record))
    if isinstance(record, Result):
        first = journey.result is None
        return replace(
            journey,
            result=record if first else journey.result,
            place=(seen.partition, seen.offset) if first else journey.place,
            results=journey.results + 1,
        )
    return journey


def _written(journey: Journey, event: TokenEvent) -> Journey:
    if event.epoch < journey.epoch:
        return journey
    before = journey.writing if event.epoch == journey.epoch else ""
    added = event.content if event.type is TokenEventType.TOKEN else ""
    return replace(journey, epoch=event.epoch, writing=before + added)


def _dead_letter(value: bytes, headers: Mapping[str, str]) -> DeadLetter:
    return DeadLetter(
        topic=headers.get("__streams.errors.topic", "?"),
        partition=headers.get("__streams.errors.partition", "?"),
        offset=headers.get("__streams.errors.offset", "?"),
        stage=headers.get("forgestream.stage", "?"),
        error_code=headers.get("forgestream.error-code", "?"),
        message=headers.get("__streams.errors.message", ""),
        value=value,
    )
