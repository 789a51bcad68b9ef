"""Bringing tables up to date before their worker takes a record: their changelogs are read to the end.

Faust's own recovery shares its consumer, queue and pauses with the records of the stages, and what it had fetched could be dropped
behind its back: rows were missing, and were counted from nothing again. So each recovery here has a consumer of its own that belongs to no
group, reads from where this worker knows the changelog to the end it has at that moment, and nothing else.

Why that end is enough: whatever a predecessor committed came after the broker's confirmation of its changes, and was accepted
before the group gave the partition to this worker.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import aiokafka
from aiokafka.errors import KafkaError

from streams.connection import use_safe_connections
from streams.errors import TableLost
from streams.lanes import TopicPartition
from streams.settings import KafkaSettings
from streams.tables import Change, ChangelogTable, tenure_in
from streams.views import connection

log = logging.getLogger("forgestream.recovery")

POLL_MS = 200
FETCH_MAX_WAIT_MS = 20
AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Commit:
    """What a group has committed of one partition of a source: an offset, and a note beside it."""

    offset: int
    note: str = ""


Place = tuple[ChangelogTable, int]  # a table and one of its partitions


def open_consumer(kafka: KafkaSettings) -> aiokafka.AIOKafkaConsumer:
    """Return a consumer that belongs to no group, not yet started."""
    use_safe_connections()
    return aiokafka.AIOKafkaConsumer(
        **connection(kafka),
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        request_timeout_ms=int(kafka.timeout_s * 1000),
    )


class Recovery:
    """Recovers the tables of one unit."""

    def __init__(
        self, kafka: KafkaSettings, opened: Callable[[KafkaSettings], aiokafka.AIOKafkaConsumer] = open_consumer
    ) -> None:
        self._kafka = kafka
        self._opened = opened
        self.progress = 0  # grows with everything that is read

    async def recover(
        self,
        tables: Collection[ChangelogTable],
        commits: Mapping[TopicPartition, Commit],
        mine: Callable[[], bool],
    ) -> None:
        """Bring the rows of all partitions in `commits` up to date, while they are `mine`; waits for a broker that does not answer.

        Raises:
            TableLost: a changelog ends before changes that were acknowledged.
        """
        partitions = {tp.partition for tp in commits}
        for table in tables:
            table.keep(partitions)
            table.sources |= {tp.topic for tp, commit in commits.items() if noted_end(commit.note, table.name)}
        places = {
            aiokafka.TopicPartition(table.changelog, number): (table, number)
            for table in tables
            for number in partitions
        }
        while places and mine():
            consumer = self._opened(self._kafka)
            try:
                await consumer.start()
                consumer.assign(list(places))
                if await self._read(consumer, places, commits, mine):
                    return
            except KafkaError as error:
                log.warning("the tables cannot be recovered now, it will be tried again: %r", error)
                await asyncio.sleep(AGAIN_S)
            finally:
                await asyncio.gather(consumer.stop(), return_exceptions=True)

    async def _read(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        places: Mapping[aiokafka.TopicPartition, Place],
        commits: Mapping[TopicPartition, Commit],
        mine: Callable[[], bool],
    ) -> bool:
        """Read every place to its present end. Returns False when the consumer went silent."""
        ends = await consumer.end_offsets(list(places))
        firsts = await consumer.beginning_offsets(list(places))
        check(places, ends, commits)
        for at, (table, number) in places.items():
            consumer.seek(at, max(table.read_up_to(number), firsts[at]))
        heard_at = asyncio.get_running_loop().time()
        while mine():
            behind = [at for at, end in ends.items() if await consumer.position(at) < end]
            if not behind:
                for at, (table, number) in places.items():
                    table.begin(number, ends[at])
                self.progress += 1
                return True
            taken = self._apply(await consumer.getmany(*behind, timeout_ms=POLL_MS), places)
            now = asyncio.get_running_loop().time()
            if taken:
                heard_at = now
            elif now - heard_at > self._kafka.timeout_s:
                log.warning("nothing came from %s for %.0f s: it is begun again", behind, now - heard_at)
                return False
        return False

    def _apply(
        self,
        batches: Mapping[aiokafka.TopicPartition, Sequence[aiokafka.ConsumerRecord]],
        places: Mapping[aiokafka.TopicPartition, Place],
    ) -> int:
        taken = 0
        for at, records in batches.items():
            table, number = places[at]
            for record in records:
                table.apply(Change(number, record.offset, record.key or b"", record.value, tenure_in(record.headers)))
            taken += len(records)
        self.progress += taken
        return taken


def check(
    places: Mapping[aiokafka.TopicPartition, Place],
    ends: Mapping[aiokafka.TopicPartition, int],
    commits: Mapping[TopicPartition, Commit],
) -> None:
    """See that no changelog ends before what was acknowledged.

    Raises:
        TableLost: one does; every such partition is named.
    """
    lost = []
    for at, (table, number) in places.items():
        noted = [noted_end(commit.note, table.name) for tp, commit in commits.items() if tp.partition == number]
        least = max([table.end(number), *noted])
        if ends[at] < least:
            lost.append(f"{at.topic}-{at.partition} ends at {ends[at]}, {least} was acknowledged")
    if lost:
        raise TableLost(
            f"{'; '.join(sorted(lost))}: the changelog was deleted, made anew or truncated, and the table would begin empty or old "
            "without a word. Stop the unit's workers; restore the topic, or let the table be learned again, or go on without: runbook "
            "`changelog-lost` has the commands"
        )


def note(tables: Collection[ChangelogTable], source: TopicPartition) -> str:
    """Return what is committed beside an offset of `source`: how far the changelogs go that its records have changed."""
    ends = ((table, table.end(source.partition)) for table in tables if source.topic in table.sources)
    return ",".join(f"{table.name}={end}" for table, end in ends if end)


def noted_end(text: str, table: str) -> int:
    """Return how far a changelog went when its note was committed; 0 when that is unknown."""
    for part in text.split(","):
        name, _, end = part.partition("=")
        if name == table and end.isdigit():
            return int(end)
    return 0
