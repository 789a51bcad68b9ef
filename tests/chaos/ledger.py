"""What the workers under fault do, and whether it came out right: recomputed from the input topic alone."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.codec import RecordUndecodable, SchemaUnknown, Serde
from schemas.records import CircuitState, Outcome
from schemas.registry import serde
from streams.tables import Change, ChangelogTable, tenure_in
from streams.topic import Topic
from tests.broker.places import circuit_states, outcomes, raw
from tests.chaos.generations import encoded
from tests.chaos.generations import ids as known_ids
from tests.cluster import Cluster
from tests.fakes.producer import MemoryProducer
from tests.one_unit import GROUP_SUFFIX

PARTITIONS = 6
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TABLE = "counts"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The topics of one run: what is put in is copied, every copy is counted in a table."""

    prefix: str

    @property
    def group(self) -> str:
        """The consumer group of all workers."""
        return f"{self.prefix}{GROUP_SUFFIX}"

    @property
    def reads(self) -> Topic[Outcome]:
        """What producers put in."""
        return outcomes(f"{self.prefix}reads", PARTITIONS)

    @property
    def copies(self) -> Topic[Outcome]:
        """What comes out, and what the table counts."""
        return outcomes(f"{self.prefix}copies", PARTITIONS)

    @property
    def dead_letters(self) -> Topic[bytes]:
        """What cannot be read."""
        return raw(f"{self.prefix}dead-letters", PARTITIONS)

    @property
    def results(self) -> Topic[CircuitState]:
        """Nothing: no topic here ends a request."""
        return circuit_states(f"{self.prefix}results", PARTITIONS)

    @property
    def changelog(self) -> str:
        """The changelog of the table."""
        return f"{self.group}-{TABLE}-changelog"

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic the workers find."""
        return self.reads.name, self.copies.name, self.dead_letters.name, self.results.name


class Books:
    """Codecs of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        ids = known_ids()
        asyncio.run(ids.start({f"{topic.name}-value": topic.record for topic in (ledger.reads, ledger.copies)}))
        asyncio.run(ids.start({f"{ledger.changelog}-value": CircuitState}))
        self.ledger = ledger
        self._entries: Serde[Outcome] = serde(ids, ledger.reads.name, Outcome)
        self._counts: Serde[CircuitState] = serde(ids, ledger.changelog, CircuitState)

    def entry(self, key: str, number: int) -> tuple[bytes, bytes]:
        """Return key and value of an input that can be told from all others by its number."""
        return key.encode(), self._entries.encode(Outcome(dependency=key, ok=True, latency_ms=float(number), at=NOW))

    def entry_of(self, generation: int, key: str, number: int) -> tuple[bytes, bytes]:
        """Return an entry as a program with that schema id writes it."""
        return key.encode(), encoded(
            generation, {"dependency": key, "ok": True, "latency_ms": float(number), "at": NOW}
        )

    def number(self, value: bytes) -> int | None:
        """Return the number of an entry, None for what is no entry."""
        try:
            return int(self._entries.decode(value).latency_ms)
        except (RecordUndecodable, SchemaUnknown):
            return None

    def empty_table(self) -> ChangelogTable:
        """Return the table as a worker has it before it has read anything."""
        return ChangelogTable(TABLE, self.ledger.changelog, self._counts, MemoryProducer())

    def count(self, value: bytes) -> CircuitState:
        """Return a row of the table."""
        return self._counts.decode(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What the input topic says should be there, beside what is there."""

    records: int
    lost: int
    duplicated: int
    differing: int  # duplicates that are not identical
    disordered: int  # keys whose records first came out in another order than they went in
    miscounted: int  # keys whose row in the table is not the number of their copies
    buried: int
    poisoned: int

    @property
    def problems(self) -> Sequence[str]:
        """One sentence per broken promise."""
        found = [
            (self.lost, "records lost"),
            (self.differing, "duplicates differ"),
            (self.disordered, "keys out of order"),
            (self.miscounted, "rows of the table wrong"),
            (self.poisoned - self.buried, "poisoned records without a dead letter"),
        ]
        return [f"{count} {what}" for count, what in found if count > 0]


def audit(cluster: Cluster, books: Books) -> Audit:
    """Compare everything that came out with everything that went in."""
    ledger = books.ledger
    asked, poisoned = _asked(cluster, books)
    first: defaultdict[bytes, dict[int, bytes]] = defaultdict(dict)
    copies: Counter[bytes] = Counter()
    differing = 0
    for stored in cluster.read(ledger.copies.name):
        copies[stored.key] += 1
        number = books.number(stored.value)
        assert number is not None, "a copy cannot be read"
        known = first[stored.key].setdefault(number, stored.value)
        differing += known != stored.value
    rows = table(cluster, books)
    lost = {key: set(numbers) - set(first[key]) for key, numbers in asked.items()}
    return Audit(
        records=sum(map(len, asked.values())),
        lost=sum(map(len, lost.values())),
        duplicated=sum(copies.values()) - sum(map(len, first.values())),
        differing=differing,
        disordered=sum(
            [number for number in numbers if number not in lost[key]] != list(first[key])
            for key, numbers in asked.items()
        ),
        miscounted=sum(rows.get(key) != count for key, count in copies.items()) + len(set(rows) - set(copies)),
        buried=len({stored.value for stored in cluster.read(ledger.dead_letters.name)}),
        poisoned=poisoned,
    )


def table(cluster: Cluster, books: Books) -> Mapping[bytes, int]:
    """Return the rows as a recovery rebuilds them from the changelog."""
    rows = books.empty_table()
    cluster.adopt([rows.changelog], PARTITIONS)
    for stored in cluster.read(rows.changelog):
        rows.apply(Change(stored.partition, stored.offset, stored.key, stored.value, tenure_in(stored.headers)))
    return {key: books.count(row).failures for key, row in rows.items()}


def _asked(cluster: Cluster, books: Books) -> tuple[Mapping[bytes, list[int]], int]:
    """Return the numbers that went in, per key in order, and how many records are no entries."""
    asked: defaultdict[bytes, dict[int, None]] = defaultdict(dict)
    poisoned = 0
    for stored in cluster.read(books.ledger.reads.name):
        number = books.number(stored.value)
        if number is None:
            poisoned += 1
        else:
            asked[stored.key][number] = None
    return {key: list(numbers) for key, numbers in asked.items()}, poisoned
