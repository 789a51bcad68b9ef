"""Dead letters as an operator sees them, and the way back to where they came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams.deadletter import ATTEMPTS, FIRST_FAILED_AT, FORGESTREAM, STREAMS
from topology.producing import Outgoing
from topology.reading import Read

KEPT = (ATTEMPTS, FIRST_FAILED_AT)  # a record that fails again goes on counting


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One dead letter. `letter_id` is its own partition and offset, `origin` those of the record that failed."""

    letter_id: str
    error_code: str
    stage: str
    topic: str
    origin: str
    exception: str
    message: str
    attempts: str
    first_failed_at: str
    schema_id: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]
    stacktrace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroup:
    """Dead letters of one stage with one error code."""

    error_code: str
    stage: str
    topics: tuple[str, ...]
    count: int
    newest: str
    message: str


def letter_of(found: Read) -> Letter:
    """Return a dead letter. Headers that are missing read as `?`: anybody can write to a topic."""

    def said(name: str) -> str:
        return found.header(name) or "?"

    return Letter(
        letter_id=f"{found.partition}@{found.offset}",
        error_code=said(f"{FORGESTREAM}error-code"),
        stage=said(f"{FORGESTREAM}stage"),
        topic=said(f"{STREAMS}topic"),
        origin=f"{said(f'{STREAMS}topic')}/{said(f'{STREAMS}partition')}@{said(f'{STREAMS}offset')}",
        exception=said(f"{STREAMS}exception"),
        message=said(f"{STREAMS}message"),
        attempts=said(ATTEMPTS),
        first_failed_at=said(FIRST_FAILED_AT),
        schema_id=found.header(f"{FORGESTREAM}schema-id") or "",
        key=found.key,
        value=found.value,
        headers={name: content.decode("utf-8", "replace") for name, content in found.headers if not _ours(name)},
        stacktrace=found.header(f"{STREAMS}stacktrace") or "",
    )


def grouped(letters: Iterable[Letter]) -> list[LetterGroup]:
    """Return the letters by stage and error code, the most frequent first."""
    by_reason: dict[tuple[str, str], list[Letter]] = {}
    for letter in letters:
        by_reason.setdefault((letter.error_code, letter.stage), []).append(letter)
    groups = [
        LetterGroup(
            error_code=code,
            stage=stage,
            topics=tuple(sorted({letter.topic for letter in found})),
            count=len(found),
            newest=found[-1].letter_id,
            message=found[-1].message,
        )
        for (code, stage), found in by_reason.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.error_code, group.stage))


def redriven(found: Read, topics: Iterable[str]) -> Outgoing | None:
    """Return the record as it goes back to its topic, key and headers kept; None when it names none of `topics`."""
    topic = found.header(f"{STREAMS}topic")
    if topic is None or topic not in set(topics):
        return None
    headers = [(name, content) for name, content in found.headers if name in KEPT or not _ours(name)]
    return Outgoing(topic=topic, key=found.key, value=found.value, headers=headers)


def _ours(name: str) -> bool:
    return name.startswith((STREAMS, FORGESTREAM))
