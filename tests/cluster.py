"""The broker as tests and benchmarks see it: topics made, filled, watched and read back with librdkafka."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from confluent_kafka import (
    OFFSET_END,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

READ_AT_ONCE = 10_000
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Stored:
    """A record read back; `at` is the broker's clock in seconds."""

    key: bytes
    value: bytes
    at: float
    partition: int
    offset: int
    headers: Sequence[tuple[str, bytes]]


class Cluster:
    """A Kafka cluster reached at `bootstrap`; topics made here have that many replicas."""

    def __init__(self, bootstrap: str, *, replication: int = 1, timeout_s: float = TIMEOUT_S) -> None:
        self.bootstrap = bootstrap
        self._timeout_s = timeout_s
        self._replication = replication
        self._admin = AdminClient({"bootstrap.servers": bootstrap})
        self._asking: dict[str, Consumer] = {}
        self._partitions: dict[str, int] = {}

    def create(self, topics: Iterable[str], partitions: int, **config: str) -> None:
        """Create topics and wait until they can be used; a setting of Kafka is written with underscores for dots."""
        names = list(topics)
        settings = {name.replace("_", "."): value for name, value in config.items()}
        made = self._admin.create_topics(
            [
                NewTopic(name, num_partitions=partitions, replication_factor=self._replication, config=settings)
                for name in names
            ]
        )
        for future in made.values():
            future.result(TIMEOUT_S)
        self._partitions.update(dict.fromkeys(names, partitions))
        deadline = time.monotonic() + TIMEOUT_S
        while not self._answers(names):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no leaders for {', '.join(names)}")
            time.sleep(0.01)

    def adopt(self, topics: Iterable[str], partitions: int) -> None:
        """Take in topics that somebody else has made."""
        self._partitions.update(dict.fromkeys(topics, partitions))

    def _answers(self, names: list[str]) -> bool:
        self.refresh()
        try:
            return self.stored(names) == 0
        except KafkaException:
            return False

    def configure(self, topic: str, **config: str) -> None:
        """Change settings of a topic; named as for `create`."""
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        for future in self._admin.incremental_alter_configs([resource]).values():
            future.result(TIMEOUT_S)

    def delete(self, topics: Iterable[str]) -> None:
        """Delete topics of a finished run."""
        if names := list(topics):  # none at all is an error to librdkafka
            for future in self._admin.delete_topics(names).values():
                future.result(TIMEOUT_S)

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        for future in self._admin.create_partitions([NewPartitions(topic, partitions)]).values():
            future.result(TIMEOUT_S)
        self._partitions[topic] = partitions
        self.refresh()

    def rewind(self, group: str, topics: Iterable[str]) -> None:
        """Let a group that has no members begin anew."""
        places = [TopicPartition(name, number, 0) for name in topics for number in range(self._partitions[name])]
        wanted = [ConsumerGroupTopicPartitions(group, places)]
        for future in self._admin.alter_consumer_group_offsets(wanted).values():
            future.result(TIMEOUT_S)

    def fill(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Produce (key, value) pairs and wait until all are stored."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "acks": "all",
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 2_000_000,
                "message.max.bytes": 17_000_000,
            }
        )
        for key, value in records:
            producer.produce(topic, value, key)
        left = producer.flush(TIMEOUT_S * 4)
        if left:
            raise TimeoutError(f"{left} records of {topic} were not stored")

    def stored(self, topics: Iterable[str]) -> int:
        """Count the records stored on topics that were created here."""
        return sum(sum(self.ends(topic)) for topic in topics)

    def ends(self, topic: str) -> list[int]:
        """Return the end of each partition of a topic.

        Asked as a consumer: librdkafka's admin client aborts the process when a broker dies at the wrong moment of its question.
        """
        wanted = [TopicPartition(topic, number, OFFSET_END) for number in range(self._partitions[topic])]
        found = self._consumer("ends").offsets_for_times(wanted, timeout=self._timeout_s)
        return [partition.offset for partition in _sound(found)]

    def refresh(self) -> None:
        """Learn who leads what now: asking for offsets alone never does."""
        self._admin.list_topics(timeout=self._timeout_s)
        for asking in self._asking.values():
            asking.list_topics(timeout=self._timeout_s)

    def committed(self, group: str, topics: Iterable[str]) -> int:
        """Add up the offsets a group has committed on topics: records it will not read again."""
        return sum(sum(self.offsets(group, topic)) for topic in topics)

    def offsets(self, group: str, topic: str) -> list[int]:
        """Return the offset a group has committed on each partition of a topic, 0 for none.

        Asked as a consumer of the group that never joins: librdkafka's admin client keeps a group's coordinator for ten minutes, also
        when that broker is dead.
        """
        wanted = [TopicPartition(topic, number) for number in range(self._partitions[topic])]
        found = self._consumer(group).committed(wanted, timeout=self._timeout_s)
        return [max(0, partition.offset) for partition in _sound(found)]

    def _consumer(self, group: str) -> Consumer:
        asking = self._asking.get(group)
        if asking is None:
            settings = {"bootstrap.servers": self.bootstrap, "group.id": group, "log_level": 0}
            asking = self._asking[group] = Consumer(settings)
        return asking

    def read(self, topic: str) -> Iterator[Stored]:
        """Read a topic from its start to its present end."""
        expected = self.stored([topic])
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "reader", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, number, 0) for number in range(self._partitions[topic])])
        count = 0
        try:
            while count < expected:
                for message in consumer.consume(min(READ_AT_ONCE, expected - count), timeout=TIMEOUT_S):
                    error = message.error()
                    if error is not None:
                        raise RuntimeError(f"{topic} could not be read back: {error}")
                    count += 1
                    yield _stored(message)
        finally:
            consumer.close()


def _stored(message: Message) -> Stored:
    return Stored(
        key=message.key() or b"",
        value=message.value() or b"",
        at=message.timestamp()[1] / 1000,
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        headers=cast("list[tuple[str, bytes]]", message.headers() or []),
    )


def _sound(found: Iterable[TopicPartition]) -> list[TopicPartition]:
    """Return partitions in order; raises the error of the first that has one."""
    for partition in found:
        if partition.error is not None:
            raise KafkaException(partition.error)
    return sorted(found, key=lambda partition: partition.partition)
