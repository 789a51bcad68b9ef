"""A unit: a Faust app whose agents take records instead of streams."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from inspect import iscoroutinefunction
from time import monotonic
from typing import Any, TypeVar, cast

import faust
from yarl import URL

from streams.emit import Emit
from streams.engine import Engine, Runtime
from streams.errors import WorkerStalled
from streams.guard import Input, Stage
from streams.recovery import Recovery
from streams.retry import Pauses
from streams.settings import KafkaSettings, Settings
from streams.tables import ChangelogTable, OwnedTable, Row
from streams.topic import Topic
from streams.transport import Consumer, Transport, check_version
from streams.views import tls
from streams.watchdog import Watchdog, any_answers

R = TypeVar("R")
V = TypeVar("V", bound=Row)
Handler = Callable[[R, Emit], Awaitable[None] | None]
Tombstone = Callable[[str, Emit], Awaitable[None] | None]

WATCH_S = 1.0
OVERSLEPT_S = 5.0
LAG_S = 5.0  # between questions for the ends of partitions
METADATA_AGE_MS = 60_000  # within which a topic is noticed to have grown; Faust's default is five minutes
LOOPBACK = "127.0.0.1:9092"
REJOIN_S = 10.0  # beyond what is drained at a rebalance; Faust's 60 s hold up the whole group for one member that hangs


class App(faust.App):
    """One unit: its stages, its tables, its consumer group.

    Args:
        unit: name of the unit; with the topic prefix it is the group id.
        runtime: what the units of a process share.
        on_fatal: called once with the error that makes going on pointless; the worker then stops.
    """

    def __init__(self, unit: str, runtime: Runtime, *, on_fatal: Callable[[BaseException], None] | None = None) -> None:
        check_version()
        group = f"{runtime.settings.kafka.topic_prefix}forgestream-{unit}"
        self.unit = unit
        self.runtime = runtime
        self.changelogs: dict[str, ChangelogTable] = {}
        self.owned_tables: dict[str, type[Any]] = {}
        self.counted: dict[
            str, Any
        ] = {}  # dataclasses of numbers that stages count beside their records, by name of the metric
        self.recovery = Recovery(runtime.settings.kafka)
        super().__init__(group, **faust_settings(runtime.settings, unit))
        self.engine = Engine(group, runtime, on_fatal=on_fatal or self._crash_later)
        self.task(self._watch)
        cast("Any", self.on_rebalance_complete).connect(self._recover)

    def stage(
        self,
        *reads: Topic[Any],
        name: str,
        in_flight: int | None = None,
        in_flight_mb: float | None = None,
        ordered: bool = True,
        aside: bool = False,
        patience_s: float = 0.0,
        pauses: Pauses | None = None,
        tombstone: Tombstone | None = None,
    ) -> Callable[[Handler[R]], Handler[R]]:
        """Declare a Faust agent that is given one record of `reads` after the other, in order per key.

        A plain function is run at once and costs no task; a coroutine function may wait, and up to `in_flight` of them wait at the same
        time per partition. `ordered=False` begins records of one key side by side, in the order of the partition. Transient errors are
        tried again for `patience_s`, beyond the usual number of tries, after `pauses` of the stage's own when it has some. `tombstone`
        takes the key of a null value. A stage `aside` of the way to the answer ends no request when it fails or is late.
        """

        def declare(handler: Handler[R]) -> Handler[R]:
            self.engine.add(
                Stage(
                    name=name,
                    inputs={topic.name: self._input(topic, aside=aside) for topic in reads},
                    handler=handler,
                    tombstone=tombstone,
                    waits=iscoroutinefunction(handler) or iscoroutinefunction(tombstone),
                    patience_s=patience_s,
                    pauses=pauses,
                    in_flight=in_flight or self.engine.settings.engine.in_flight,
                    in_flight_mb=in_flight_mb,
                    ordered=ordered,
                ),
            )

            async def subscribe(_: faust.StreamT[bytes]) -> None:
                """Hold the subscription; records reach the handler from the fetched batch, never through the stream."""
                await asyncio.get_running_loop().create_future()

            channel = self.topic(
                *(topic.name for topic in reads), key_type=bytes, value_type=bytes, partitions=reads[0].partitions
            )
            self.agent(channel, name=name)(subscribe)
            return handler

        return declare

    def owned_table(self, name: str, record: type[V], initial: Callable[[str], V]) -> OwnedTable[V]:
        """Declare a changelog-backed table for the one stage that writes it; `initial(key)` is the value before the first change."""
        changelog: Topic[V] = Topic(
            name=self.changelog_name(name),
            record=record,
            key=lambda _: "",
            key_name="table key",
            owner=self.unit,
            partitions=self.runtime.settings.kafka.partitions,
            doc=f"Changelog of table {name}",
            retention=None,
            compacted=True,
        )
        serde = self.engine.serde(changelog)
        self.owned_tables[name] = record
        table = self.changelogs[name] = ChangelogTable(name, changelog.name, serde, self.runtime.producer)
        return OwnedTable(table, serde, initial)

    def changelog_name(self, table: str) -> str:
        """Return the changelog topic of a table."""
        return f"{self.conf.id}-{table}-changelog"

    def _input(self, topic: Topic[Any], *, aside: bool) -> Input:
        has_origin = "origin" in getattr(topic.record, "__dataclass_fields__", {})
        read = replace(topic, ends_request=topic.ends_request and not aside)
        return Input(topic=read, serde=self.engine.serde(topic), has_origin=has_origin)

    async def _recover(self, *_: object, **__: object) -> None:
        """Bring the tables up to date: after an assignment, before the first record of it is taken."""
        await cast("Consumer", self.consumer).recover(self.recovery, self.changelogs.values())

    async def _watch(self) -> None:
        """Stop the unit when something in it has stopped while the broker is there."""
        watchdog = Watchdog(self.runtime.settings.engine.stall_s)
        addresses = (self.runtime.settings.kafka.bootstrap or LOOPBACK).split(",")
        looked_at = patient_until = lag_at = monotonic()
        while not self.should_stop:
            await self.sleep(WATCH_S)
            now = monotonic()
            if now - looked_at > OVERSLEPT_S:  # this process was frozen itself: everything in it deserves new patience
                patient_until = now + self.runtime.settings.engine.stall_s
            looked_at = now
            stalls = self._stalls(watchdog, now)
            if not self.rebalancing and now >= lag_at:
                stalls += watchdog.unread(await cast("Consumer", self.consumer).behind(), now)
                lag_at = now + LAG_S
            if stalls and now > patient_until and await any_answers(addresses):
                await self.crash(WorkerStalled("; ".join(stalls)))
                return

    def _stalls(self, watchdog: Watchdog, now: float) -> list[str]:
        consumer = cast("Consumer", self.consumer)
        signs = {
            "the group has confirmed no heartbeat": self.engine.lease.silence_s,
            "the fetch loop has not turned": consumer.idle_s,
        }
        progress = (self.consumer_generation_id, self.recovery.progress) if self.rebalancing else None
        stalls = [*watchdog.silent(signs), *watchdog.stuck(progress, now)]
        if not self.rebalancing:
            stalls += watchdog.look(consumer.committed(), consumer.uncommitted(), now)
        return stalls

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _crash_later(self, error: BaseException) -> None:
        self.add_future(self.crash(error))  # which keeps a reference to it


def faust_settings(settings: Settings, unit: str) -> dict[str, Any]:
    """Return what we tell Faust; the reasons stand in `streams.settings` and docs/settings.md."""
    kafka, engine = settings.kafka, settings.engine
    return {
        "broker": [URL(f"kafka://{address.strip()}") for address in (kafka.bootstrap or LOOPBACK).split(",")],
        "broker_credentials": credentials(kafka),
        "store": "memory://",
        "key_serializer": "raw",
        "value_serializer": "raw",
        "topic_partitions": kafka.partitions,
        "topic_disable_leader": True,
        "web_enabled": False,
        "processing_guarantee": engine.processing_guarantee,
        "consumer_auto_offset_reset": "earliest",
        "consumer_metadata_max_age_ms": METADATA_AGE_MS,
        "consumer_group_instance_id": f"{engine.worker_id}-{unit}",
        "broker_session_timeout": engine.session_timeout_s,
        "broker_heartbeat_interval": engine.heartbeat_s,
        "broker_rebalance_timeout": engine.drain_s + REJOIN_S,
        "broker_commit_interval": engine.commit_interval_s,
        "broker_max_poll_records": engine.max_poll_records,
        "consumer_max_fetch_size": int(engine.max_partition_fetch_mb * 1024 * 1024),
        "stream_wait_empty": False,
        "stream_buffer_maxsize": 4096,
        "logging_config": {"version": 1, "disable_existing_loggers": False},
    }


def credentials(kafka: KafkaSettings) -> Any:  # noqa: ANN401 - Faust's own union
    """Return Faust's credentials object for the security protocol, None for plaintext."""
    if kafka.security_protocol == "PLAINTEXT":
        return None
    context = tls(kafka) if kafka.security_protocol.endswith("SSL") else None
    if kafka.security_protocol == "SSL":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        username=kafka.sasl_username,
        password=kafka.sasl_password,
        ssl_context=context,
        mechanism=kafka.sasl_mechanism or "PLAIN",
    )
