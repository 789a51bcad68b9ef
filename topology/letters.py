"""Dead letters as an operator sees them, and the way back to where they came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.records import Redrive
from streams.deadletter import ATTEMPTS, CODE_VERSION, FIRST_FAILED_AT, FORGESTREAM, REDRIVES, STREAMS, counted
from streams.errors import HandlerFailed, RecordInvalid
from streams.tracing import header
from topology.producing import Outgoing
from topology.reading import Read

KEPT = (ATTEMPTS, FIRST_FAILED_AT)  # a record that fails again goes on counting
BUGS = {HandlerFailed.code, RecordInvalid.code}  # the same code fails again on the same bytes


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
    redrives: int
    first_failed_at: str
    schema_id: str
    version: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]
    stacktrace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which letters are meant; what is None does not matter."""

    code: str | None = None
    stage: str | None = None
    schema: str | None = None
    ids: frozenset[str] | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            self.code in {None, letter.error_code}
            and self.stage in {None, letter.stage}
            and self.schema in {None, letter.schema_id}
            and (self.ids is None or letter.letter_id in self.ids)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroup:
    """Dead letters of one stage with one error code and one schema."""

    error_code: str
    stage: str
    schema_id: str
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
        redrives=counted(header(found.headers, REDRIVES)),
        first_failed_at=said(FIRST_FAILED_AT),
        schema_id=found.header(f"{FORGESTREAM}schema-id") or "",
        version=found.header(CODE_VERSION) or "",
        key=found.key,
        value=found.value,
        headers={name: content.decode("utf-8", "replace") for name, content in found.headers if not _ours(name)},
        stacktrace=found.header(f"{STREAMS}stacktrace") or "",
    )


class Groups:
    """Letters counted by error code, stage and schema, one after the other; only the counts are held."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str], LetterGroup] = {}

    def add(self, letter: Letter) -> None:
        """Count a letter; the last one added is the newest."""
        place = letter.error_code, letter.stage, letter.schema_id
        known = self._groups.get(place)
        self._groups[place] = LetterGroup(
            error_code=letter.error_code,
            stage=letter.stage,
            schema_id=letter.schema_id,
            topics=tuple(sorted({*(known.topics if known else ()), letter.topic})),
            count=known.count + 1 if known else 1,
            newest=letter.letter_id,
            message=letter.message,
        )

    def all(self) -> list[LetterGroup]:
        """Return the groups, the most frequent first."""
        return sorted(
            self._groups.values(), key=lambda group: (-group.count, group.error_code, group.stage, group.schema_id)
        )


def grouped(letters: Iterable[Letter]) -> list[LetterGroup]:
    """Return the letters by error code, stage and schema, the most frequent first."""
    groups = Groups()
    for letter in letters:
        groups.add(letter)
    return groups.all()


def refusal(letter: Letter, *, before: Redrive | None, unreadable: str | None, version: str) -> str | None:
    """Return why sending a letter back is useless or wrong; None when there is hope.

    Args:
        letter: what failed.
        before: the redrive of this letter, if there was one.
        unreadable: why its bytes are no record of its topic today; None when they are one.
        version: of the code that would handle it, empty when unknown.
    """
    if before is not None:
        return f"was sent back already, by {before.issued_by} at {before.at:%Y-%m-%d %H:%M:%S} UTC"
    if unreadable is not None:
        return f"would fail the same way: {unreadable}"
    if letter.error_code in BUGS and version and letter.version == version:
        return f"would fail the same way: this is still version {version}, which failed on it"
    return None


def redriven(found: Read, topics: Iterable[str]) -> Outgoing | None:
    """Return the record as it goes back to its topic, key and headers kept; None when it names none of `topics`."""
    topic = found.header(f"{STREAMS}topic")
    if topic is None or topic not in set(topics):
        return None
    headers = [(name, content) for name, content in found.headers if name in KEPT or not _ours(name)]
    headers.append((REDRIVES, b"%d" % (counted(header(found.headers, REDRIVES)) + 1)))
    return Outgoing(topic=topic, key=found.key, value=found.value, headers=headers)


def _ours(name: str) -> bool:
    return name.startswith((STREAMS, FORGESTREAM))
