"""Faust's consumer with its per-record path taken out.

Faust keeps the group, the assignor and the worker; a fetched batch of a stage's topic goes straight to the engine, commits follow the
engine's watermarks, and tables are recovered by `streams.recovery`. This overrides private methods of the pinned version of Faust, which
`check_version` guards.
"""

import asyncio
import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import aiokafka
from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.errors import StartRefused
from streams.lanes import Received, TopicPartition
from streams.member import ConsumerThread, HasEngine
from streams.recovery import Recovery
from streams.tables import ChangelogTable

if TYPE_CHECKING:
    from streams.engine import Engine

log = logging.getLogger("forgestream.consumer")

FAUST_VERSION = "0.15.3"
CHUNK_RECORDS = 128  # taken without giving the loop to anybody else
IDLE_WAIT_S = 1.0
ENDS_S = 5.0
PAUSED_WAIT_S = 0.02  # a fetch that left a full partition out must end soon after there is room again


def check_version() -> None:
    """Refuse any other Faust than the one whose private methods are overridden here."""
    found = version("faust-streaming")
    if found != FAUST_VERSION:
        raise StartRefused(
            f"faust-streaming {FAUST_VERSION} is needed, {found} is installed; install the locked requirements"
        )


class Consumer(driver.Consumer):
    """Hands batches to the engine and commits its watermarks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's signature
        super().__init__(*args, **kwargs)
        self._room = asyncio.Event()
        self._turned_at: float | None = None
        self._positioned = False
        self._seeks = 0
        self._tenures = itertools.count()
        self._tenure: int | None = None  # since the last assignment; None from a revocation to the next assignment
        self._recovered: int | None = None

    @property
    def engine(self) -> "Engine":
        """The engine of this unit."""
        return cast("HasEngine", self.app).engine

    @property
    def idle_s(self) -> float:
        """Seconds since the fetch loop last went round; it does so every second, whether there are records or not."""
        return 0.0 if self._turned_at is None else monotonic() - self._turned_at

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, thread_loop=self.loop, beacon=self.beacon)

    async def create_topic(self, *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401 - Faust's signature
        """Do nothing: `topology.provision` has made every topic with its own configuration before the start."""

    def pause(self, tp: TopicPartition) -> None:
        """Leave a full partition out of the next fetches."""
        self.on_buffer_full(self._faust(tp))

    def resume(self, tp: TopicPartition) -> None:
        """Take the partition in again."""
        self.on_buffer_drop(self._faust(tp))
        self._room.set()

    def _faust(self, tp: TopicPartition) -> TP:
        return TP(tp.topic, tp.partition)  # a client library's tuple is equal, but Faust asserts its own type

    async def perform_seek(self) -> None:
        """Go to what is committed, as the last step of a recovery.

        Faust lets partitions be fetched before this step, from wherever they stand: a record taken then could be acknowledged over
        others that were fetched and dropped during the recovery. So none is taken before, nor while the next rebalance is under way.
        """
        tenure = self._tenure
        if tenure is None or tenure != self._recovered:
            return
        await self._seek_back()
        self._seeks += 1
        self._positioned = tenure == self._tenure

    async def recover(self, recovery: Recovery, tables: Collection[ChangelogTable]) -> None:
        """Bring the tables up to date for the partitions that were just assigned; given up when they are revoked meanwhile."""
        tenure = self._tenure
        if tenure is None:
            return
        self._check_partitions()
        commits = {}
        if tables and (sources := [tp for tp in self.assignment() if tp.topic in self.engine.stages]):
            commits = await cast("ConsumerThread", self._thread).committed(sources)
        await recovery.recover(tables, commits, lambda: tenure == self._tenure)
        self._recovered = tenure

    def _check_partitions(self) -> None:
        """See that the topics have the partitions they had at the start.

        Raises:
            StartRefused: keys of one have moved, and with them their order and their rows.
        """
        grown = [
            f"topic `{name}` now has {found} partitions where {stage.inputs[name].topic.partitions} are needed"
            for name, stage in self.engine.stages.items()
            if (found := self._partitions_of(name)) > stage.inputs[name].topic.partitions
        ]
        if grown:
            raise StartRefused(
                f"{'; '.join(grown)}: its keys are elsewhere now, their order and their tables are not. Nothing more is taken and nothing "
                "is lost: runbook `partitions-changed` says how to go on"
            )

    def _partitions_of(self, topic: str) -> int:
        """Return how many partitions a topic has, as far as metadata and the assignment tell: one may be older than the other."""
        return max(
            [self.topic_partitions(topic) or 0, *(tp.partition + 1 for tp in self.assignment() if tp.topic == topic)]
        )

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: the watchdog notices what Faust's detector only logs, which costs a busy loop seconds."""

    def resume_flow(self) -> None:
        """Let records be taken again; not by the end of a recovery that the next rebalance has overtaken."""
        if self._tenure is not None:
            super().resume_flow()

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Begin a tenure."""
        self._tenure = next(self._tenures)
        await super().on_partitions_assigned(assigned, generation_id)

    async def _seek_back(self) -> None:
        """Go back to what is committed; to the beginning where nothing is, which Faust and aiokafka leave wherever it stands."""
        await super().perform_seek()
        fresh = [tp for tp in self.assignment() if tp.topic in self.engine.stages and not self._read_offset[tp]]
        if fresh:
            await self._thread.seek_to_beginning(*(aiokafka.TopicPartition(tp.topic, tp.partition) for tp in fresh))

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ANN401, ASYNC109 - Faust's signature
        # Faust hands over the set it goes on changing; once empty it means every partition, the paused ones too.
        return await super()._getmany(active_partitions and set(active_partitions), timeout)

    async def _drain_messages(self, fetcher: Any) -> None:  # noqa: ANN401 - Faust's signature
        self.engine.flow = self
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):  # noqa: SLF001 - as Faust's own loop
                self._turned_at = monotonic()
                await self._take_once()
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:  # Faust takes a cancellation in the middle of a rebalance for a crash
                raise

    async def _take_once(self) -> None:
        if self.flow_active and not self._get_active_partitions():
            # Every partition is full, or none is assigned yet: Faust would look again in a second.
            self._room.clear()
            await self.wait(self._room.wait(), timeout=PAUSED_WAIT_S)
            return
        seeks = self._seeks
        records, active = await self._wait_next_records(PAUSED_WAIT_S if self._buffered_partitions else IDLE_WAIT_S)
        if not self.flow_active:
            # What was just fetched belongs to an assignment that is over: read again from the last commit.
            await self._seek_back()
            return
        generation, skipped = self.app.consumer_generation_id, False
        for tp, batch in (records or {}).items():
            if not (self._positioned and seeks == self._seeks) or (
                active is not None and tp not in active and tp not in self._buffered_partitions
            ):
                skipped = True
                continue
            await self._take_batch(TopicPartition(tp.topic, tp.partition), batch, generation)
            if not self._still(generation):
                return
            self._read_offset[tp] = batch[-1].offset
        if skipped:
            await self._seek_back()
        await asyncio.sleep(0)

    async def _take_batch(self, tp: TopicPartition, batch: Sequence[Received], generation: int) -> None:
        for start in range(0, len(batch), CHUNK_RECORDS):
            self.engine.take(tp, batch[start : start + CHUNK_RECORDS])
            await asyncio.sleep(0)
            if not self._still(generation):
                return

    def _still(self, generation: int) -> bool:
        return self.flow_active and self.app.consumer_generation_id == generation

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[Any]:  # noqa: ANN401, ARG002 - Faust's signature
        return (self._faust(tp) for tp in self.engine.watermarks())

    def _filter_committable_offsets(self, tps: Iterable[Any]) -> dict[Any, int]:  # noqa: ARG002 - Faust's signature
        return {
            tp: offset
            for tp, offset in ((self._faust(tp), offset) for tp, offset in self.engine.watermarks().items())
            if (committed := self._committed_offset[tp]) is None or offset > committed
        }

    async def _commit_offsets(self, offsets: Mapping[Any, int], start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002, ARG002 - Faust's signature
        # Faust would count a failed commit as done and flush a producer that nobody uses.
        mine = {tp: offset for tp, offset in offsets.items() if tp in self.assignment()}
        if not mine or not await self._commit(mine):
            return False
        self._committed_offset.update(mine)
        return True

    def committed(self) -> dict[TopicPartition, int]:
        """Return, per partition, the offset that is committed."""
        return {TopicPartition(tp.topic, tp.partition): offset or 0 for tp, offset in self._committed_offset.items()}

    async def behind(self) -> dict[TopicPartition, int]:
        """Return the position of each partition that has records beyond it and none under way; nothing when the broker is silent."""
        held = self.engine.held()
        idle = [tp for tp in self.assignment() if tp.topic in self.engine.stages and TopicPartition(*tp) not in held]
        if not idle:
            return {}
        try:
            async with asyncio.timeout(ENDS_S):
                ends = await self._thread.highwaters(*(aiokafka.TopicPartition(tp.topic, tp.partition) for tp in idle))
                return {
                    TopicPartition(tp.topic, tp.partition): position
                    for tp, end in ends.items()
                    if (position := await self._thread.position(tp)) is not None and position < end
                }
        except (KafkaError, IllegalStateError, TimeoutError):
            return {}

    def uncommitted(self) -> dict[TopicPartition, int]:
        """Return, per partition, how many records are done and confirmed but not committed."""
        found = {}
        for tp, watermark in self.engine.watermarks().items():
            lag = watermark - (self._committed_offset[self._faust(tp)] or 0)
            if lag > 0:
                found[tp] = lag
        return found

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Finish what runs within the budget, commit it, forget the rest unacknowledged.

        Nothing can be finished once the partitions may be another worker's.
        """
        self.stop_flow()
        self._positioned, self._tenure = False, None
        if not self.engine.lease.held:
            log.warning("the group has given the partitions away meanwhile; what is under way is dropped")
        elif await self.engine.drain(self.engine.settings.engine.drain_s):
            await self.commit()
        else:
            log.warning("records still under way at a rebalance are cancelled and will be read again")
            await self.commit()
        self.engine.drop_all()
        self._buffered_partitions.clear()
        self.engine.resume_taking()
        await super().on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        """Finish what runs within the budget, commit, leave."""
        if not await self.engine.drain(self.engine.settings.engine.drain_s):
            log.warning("records still under way at shutdown are cancelled and will be read again")
        await super().on_stop()
        self.engine.drop_all()


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer."""

    Consumer = Consumer
