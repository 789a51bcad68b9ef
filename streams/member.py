"""What talks to the broker for a unit: a member of its group. It overrides private methods as `streams.transport` does."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import aiokafka
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import maybe_async

from streams.connection import use_safe_connections
from streams.errors import ConsumerLost
from streams.lanes import TopicPartition
from streams.lease import elapsed_s
from streams.recovery import Commit, note
from streams.tables import ChangelogTable

if TYPE_CHECKING:
    from streams.engine import Engine

log = logging.getLogger("forgestream.consumer")

MIND_S = 0.5


class HasEngine(Protocol):
    """A Faust app with our engine and tables."""

    engine: "Engine"
    changelogs: Mapping[str, ChangelogTable]


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """What talks to the broker: in Faust a thread with a loop of its own, here on the loop of the stages.

    No stage blocks that loop, and handing every batch from thread to thread costs a fifth of a worker's time.
    """

    _minding: asyncio.Task[None] | None = None
    _serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and serve from now on."""
        self._thread_started.set()
        running = self._thread_running = self.parent_loop.create_future()
        self._serving = self.parent_loop.create_task(self._serve(), name="serve the consumer")
        self._serving.add_done_callback(_seen)
        try:
            await running
        finally:
            self._thread_running = None

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Faust's signature
        """Call what Faust would have its thread do. As there, it goes on when its caller is cancelled."""
        return await asyncio.shield(maybe_async(fun(*args, **kwargs)))

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ANN401, ASYNC109 - Faust's signature
        """Fetch a batch."""
        consumer = self._ensure_consumer()
        most = consumer._max_poll_records  # noqa: SLF001 - as Faust does
        return await self._fetch_records(consumer, active_partitions, timeout=timeout, max_records=most)

    async def _gather_remaining_tasks(self) -> None:
        """Cancel nothing: what is left on this loop belongs to others."""

    @property
    def engine(self) -> "Engine":
        """The engine of this unit."""
        return cast("HasEngine", self.app).engine

    async def on_start(self) -> None:
        """Connect; from then on take note of what the group confirms and of what goes wrong."""
        use_safe_connections()
        await super().on_start()
        self._note_signs_of_life(self._ensure_consumer()._coordinator)  # noqa: SLF001 - no public way
        self._minding = mind(self._ensure_consumer(), self.engine.fail)

    async def on_thread_stop(self) -> None:
        """Disconnect."""
        if self._minding is not None:
            self._minding.cancel()
        await super().on_thread_stop()

    def _note_signs_of_life(self, coordinator: Any) -> None:  # noqa: ANN401 - of aiokafka, without types
        send, lease = coordinator._send_req, self.engine.lease  # noqa: SLF001 - no public way

        async def send_and_note(request: Any) -> Any:  # noqa: ANN401 - as above
            sent_at = elapsed_s()
            response = await send(request)
            if isinstance(request, HeartbeatRequest | SyncGroupRequest) and not response.error_code:
                lease.confirm(sent_at)
            return response

        coordinator._send_req = send_and_note  # noqa: SLF001 - no public way

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Faust's signature
        try:
            return await super()._fetch_records(*args, **kwargs)
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("nothing can be fetched now: %r", error)
            await asyncio.sleep(MIND_S)
            return {}

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ANN401 - Faust's signature
        consumer = super()._create_worker_consumer(transport)
        # aiokafka keeps one fetch in flight per broker and leaves out partitions whose records are not all taken: while that fetch
        # waits for idle partitions (Faust fixes 1,500 ms), a busy one stalls.
        settings = self.engine.settings
        consumer._fetch_max_wait_ms = settings.engine.fetch_max_wait_ms  # noqa: SLF001 - no public way
        return consumer

    async def committed(self, partitions: Collection[TP]) -> dict[TopicPartition, Commit]:
        """Return what the group has committed of partitions."""
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - no public way that returns the notes
        wanted = [aiokafka.TopicPartition(tp.topic, tp.partition) for tp in partitions]
        found = await self.call_thread(coordinator.fetch_committed_offsets, wanted)
        none = aiokafka.structs.OffsetAndMetadata(-1, "")
        return {
            TopicPartition(*tp): Commit(commit.offset, commit.metadata)
            for tp, commit in ((tp, found.get(tp, none)) for tp in wanted)
        }

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        tables = cast("HasEngine", self.app).changelogs.values()
        mine = {
            aiokafka.TopicPartition(tp.topic, tp.partition): (offset, note(tables, TopicPartition(*tp)))
            for tp, offset in offsets.items()
            if tp in self.assignment()
        }
        try:
            await self._ensure_consumer().commit(mine)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("commit refused, the partitions moved: %s", error)
        except KafkaError as error:
            log.warning("commit failed, it will be tried again: %r", error)
        else:
            return True
        return False


def mind(consumer: aiokafka.AIOKafkaConsumer, fail: Callable[[BaseException], None]) -> asyncio.Task[None]:
    """Call `fail` when a consumer gives up, or cannot be minded any more. Returns who minds it, to be cancelled."""

    def ended(minding: asyncio.Task[None]) -> None:
        if not minding.cancelled() and (error := minding.exception()) is not None:
            fail(ConsumerLost(f"the consumer gave up: {error!r}"))

    minding = asyncio.create_task(_mind(consumer), name="mind the consumer")
    minding.add_done_callback(ended)
    return minding


async def _mind(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Ask for the errors of aiokafka's own tasks: Faust does not, and until somebody does they stand still."""
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001 - no public way
    while True:
        await asyncio.sleep(MIND_S)
        try:
            coordinator.check_errors()
            if fetcher._fetch_task.done():  # noqa: SLF001 - no public way
                fetcher._fetch_task.result()  # noqa: SLF001 - no public way
        except KafkaError as error:
            if not error.retriable or coordinator._coordination_task.done():  # noqa: SLF001 - no public way
                raise
            log.warning("the group cannot be reached now: %r", error)


def _seen(serving: asyncio.Task[None]) -> None:
    """Take the error of a consumer that has ended: whoever started it was told."""
    if not serving.cancelled():
        serving.exception()
