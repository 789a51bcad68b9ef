"""What exists on the cluster: topics, their settings, their offsets and how far each group has read.

librdkafka's admin client blocks; every call runs in a thread and ends within the settings' time-out.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from streams.errors import BrokerUnreachable, PipelineError, StartRefused
from streams.producer import connection
from streams.settings import KafkaSettings

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

HOPELESS = (KafkaError._AUTHENTICATION, KafkaError._SSL)  # noqa: SLF001 - librdkafka's public codes begin with an underscore
# a broker leads a new partition a moment after the metadata says so
UNREADY = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)
UNREADY_S = 0.05
SHORTEST_TRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPlan:
    """A topic as it must be."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingTopic:
    """A topic as it is. `ready` when every partition has a leader."""

    name: str
    partitions: int
    ready: bool


class Cluster:
    """Admin access to one cluster."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._complaints: list[KafkaError] = []
        if not kafka.bootstrap:
            raise StartRefused("FORGESTREAM_KAFKA is empty: set it to your brokers, or to what `forgestream up` prints")
        configuration: dict[str, Any] = {
            **connection(kafka),
            "error_cb": self._complaints.append,
            "log_level": 0,  # what librdkafka would log goes into the one sentence of the error instead
        }
        try:
            self._admin = AdminClient(configuration)
        except KafkaException as error:
            raise StartRefused(f"the Kafka settings are wrong: {_text(error.args[0])}") from error

    async def topics(self) -> Mapping[str, ExistingTopic]:
        """Return every topic by name.

        Raises:
            BrokerUnreachable: no broker answered within the time-out.
        """
        return await asyncio.to_thread(self._topics)

    async def create(self, plans: Collection[TopicPlan]) -> Sequence[str]:
        """Create the topics that do not exist; returns one sentence per topic that could not be made."""
        if not plans:
            return []
        made = [
            NewTopic(
                plan.name,
                num_partitions=plan.partitions,
                replication_factor=self._kafka.replication,
                config=dict(plan.config),
            )
            for plan in plans
        ]
        problems = await self._each(lambda: self._admin.create_topics(made, request_timeout=self._kafka.timeout_s))
        return [
            f"topic `{name}` cannot be created: {_text(error)}"
            for name, error in problems.items()
            if isinstance(error, KafkaError) and error.code() != KafkaError.TOPIC_ALREADY_EXISTS
        ]

    async def delete(self, names: Collection[str]) -> None:
        """Delete topics; unknown names are fine."""
        if names:
            await self._each(lambda: self._admin.delete_topics(list(names)))

    async def configs(self, names: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """Return the configuration of each topic, by name."""
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        found = await self._each(lambda: self._admin.describe_configs(resources))
        return {
            resource.name: {entry.name: entry.value for entry in entries.values()}
            for resource, entries in found.items()
            if not isinstance(entries, KafkaError)
        }

    async def offsets(self, topics: Collection[ExistingTopic]) -> Mapping[tuple[str, int], tuple[int, int]]:
        """Return the first and the next offset of each partition."""
        partitions = [TopicPartition(topic.name, p) for topic in topics for p in range(topic.partitions)]
        if not partitions:
            return {}
        first = await self._offsets(partitions, OffsetSpec.earliest())
        following = await self._offsets(partitions, OffsetSpec.latest())
        return {place: (first[place], following[place]) for place in first if place in following}

    async def offsets_at(self, topics: Collection[ExistingTopic], at: datetime) -> Mapping[tuple[str, int], int | None]:
        """Return, per partition, the offset of the first record at `at` or later; None when there is none."""
        partitions = [TopicPartition(topic.name, p) for topic in topics for p in range(topic.partitions)]
        if not partitions:
            return {}
        found = await self._offsets(partitions, OffsetSpec.for_timestamp(max(0, int(at.timestamp() * 1000))))
        return {place: offset if offset >= 0 else None for place, offset in found.items()}

    async def delete_groups(self, prefix: str) -> None:
        """Delete the consumer groups whose names begin with `prefix`; those with members stay."""
        names = await asyncio.to_thread(self._groups, prefix)
        if names:
            await self._each(lambda: self._admin.delete_consumer_groups(names))

    async def committed(self, group: str) -> Mapping[tuple[str, int], int]:
        """Return the committed offsets of a group; empty when there is no such group."""
        answer = await self._each(
            lambda: self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]),
        )
        found = answer.get(group)
        if found is None or isinstance(found, KafkaError):
            return {}
        return {(tp.topic, tp.partition): tp.offset for tp in found.topic_partitions if tp.offset >= 0}

    async def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit offsets of a group without members, by (topic, partition)."""
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        answer = await self._each(
            lambda: self._admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
        )
        refused = [found for found in answer.values() if isinstance(found, KafkaError)]
        if refused:
            raise PipelineError(f"the broker did not commit for group {group}: {_text(refused[0])}")

    async def _offsets(self, partitions: Collection[TopicPartition], spec: OffsetSpec) -> Mapping[tuple[str, int], int]:
        deadline = time.monotonic() + self._kafka.timeout_s
        while True:
            found = await self._each(lambda: self._admin.list_offsets(dict.fromkeys(partitions, spec)))
            unready = [at for at in found.values() if isinstance(at, KafkaError) and at.code() in UNREADY]
            if not unready or time.monotonic() >= deadline:
                return {
                    (tp.topic, tp.partition): at.offset for tp, at in found.items() if not isinstance(at, KafkaError)
                }
            await asyncio.sleep(UNREADY_S)

    async def _each(self, call: Callable[[], Mapping[Any, "Future[Any]"]]) -> Mapping[Any, Any]:
        """Run an admin call; each answer is its value or the error of that one."""

        def run() -> Mapping[Any, Any]:
            return {name: _outcome(future, self._kafka.timeout_s) for name, future in call().items()}

        try:
            return await asyncio.to_thread(run)
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable() from error

    def _groups(self, prefix: str) -> list[str]:
        try:
            listed = self._admin.list_consumer_groups().result(self._kafka.timeout_s)
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable() from error
        return [group.group_id for group in listed.valid or [] if group.group_id.startswith(prefix)]

    def _topics(self) -> Mapping[str, ExistingTopic]:
        deadline = time.monotonic() + self._kafka.timeout_s
        while True:
            left = deadline - time.monotonic()
            try:
                metadata = self._admin.list_topics(timeout=max(0.1, min(left, SHORTEST_TRY_S)))
            except KafkaException as error:
                self._admin.poll(0)  # runs `error_cb`
                if left <= SHORTEST_TRY_S or any(said.code() in HOPELESS for said in self._complaints):
                    raise self._unreachable() from error
                continue
            return {
                name: ExistingTopic(
                    name=name,
                    partitions=len(found.partitions),
                    ready=bool(found.partitions) and all(p.leader >= 0 for p in found.partitions.values()),
                )
                for name, found in metadata.topics.items()
            }

    def _unreachable(self) -> BrokerUnreachable:
        codes = [*HOPELESS, KafkaError._RESOLVE, KafkaError._TRANSPORT]  # noqa: SLF001 - as HOPELESS
        said = [next((c for c in self._complaints if c.code() == code), None) for code in codes]
        reason = next((_text(error) for error in said if error is not None), "no answer")
        return BrokerUnreachable(
            f"no Kafka broker answers at {self._kafka.bootstrap} ({reason}); start it, or correct FORGESTREAM_KAFKA",
            context={"bootstrap": self._kafka.bootstrap},
        )


def _outcome(future: "Future[T]", timeout_s: float) -> T | KafkaError:
    try:
        return future.result(timeout_s)
    except KafkaException as error:
        said: KafkaError = error.args[0]
        if said.code() in {KafkaError._TIMED_OUT, KafkaError._TRANSPORT}:  # noqa: SLF001 - as HOPELESS
            raise
        return said


def _text(error: KafkaError) -> str:
    """Return what librdkafka says without its own address and timing."""
    text = error.str() or error.name()
    text = text.split("/bootstrap: ", 1)[-1]
    return text.split(" (after ", 1)[0].strip().rstrip(".")
