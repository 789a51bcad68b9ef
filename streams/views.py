"""Views: a compacted topic, whole, in every worker, read-only.

A view has a consumer of its own that belongs to no group: it is assigned every partition, read to the end before the first record of
the worker is taken, and followed from then on.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import aiokafka
from aiokafka.errors import KafkaError

from schemas.codec import RecordUndecodable, SchemaUnknown, Serde
from streams.connection import use_safe_connections
from streams.counted import goes_back
from streams.endless import Endless
from streams.errors import BrokerUnreachable
from streams.settings import KafkaSettings
from streams.topic import Topic

log = logging.getLogger("forgestream.view")

V = TypeVar("V")
POLL_MS = 500
FETCH_MAX_WAIT_MS = 100


class View(Mapping[str, V]):
    """The newest value of every key of a compacted topic.

    Iteration and look-up are those of a plain mapping; a value may be up to about 100 ms behind its topic. Only keys that
    begin with `prefix` are kept.
    """

    def __init__(self, topic: Topic[V], serde: Serde[V], kafka: KafkaSettings, *, prefix: str = "") -> None:
        self._topic = topic
        self._serde = serde
        self._kafka = kafka
        self._prefix = prefix.encode()
        self._values: dict[str, V] = {}
        self._consumer: aiokafka.AIOKafkaConsumer | None = None
        self._follower = Endless(self._follow, name=f"view {topic.name}")

    def __getitem__(self, key: str) -> V:
        """Return the newest value of `key`."""
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys."""
        return iter(self._values)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._values)

    async def start(self) -> None:
        """Read the topic to its end, then follow it.

        Raises:
            BrokerUnreachable: the topic could not be read in time.
        """
        self._consumer = self._new_consumer()
        try:
            async with asyncio.timeout(self._kafka.timeout_s):
                await self._consumer.start()
                await self._read_to_end(self._consumer)
        except (KafkaError, TimeoutError) as error:
            await self.close()
            raise BrokerUnreachable(f"topic {self._topic.name} cannot be read from {self._kafka.bootstrap}") from error
        self._follower.start()

    async def close(self) -> None:
        """Stop following."""
        await self._follower.close()
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take in one record of the topic; one that cannot be read is reported and changes nothing."""
        if not (key or b"").startswith(self._prefix):
            return
        try:
            name = (key or b"").decode()
            if value is None:
                self._values.pop(name, None)
            elif not self._is_old(name, found := self._serde.decode(value)):
                self._values[name] = found
        except (RecordUndecodable, SchemaUnknown, UnicodeDecodeError) as error:
            log.error("a record of %s cannot be read and is left out of the view: %s", self._topic.name, error)  # noqa: TRY400 - no stack needed

    def _is_old(self, name: str, found: V) -> bool:
        known = self._values.get(name)
        return known is not None and goes_back(getattr(found, "counted", {}), getattr(known, "counted", {}))

    def _new_consumer(self) -> aiokafka.AIOKafkaConsumer:
        use_safe_connections()
        return aiokafka.AIOKafkaConsumer(**connection(self._kafka), fetch_max_wait_ms=FETCH_MAX_WAIT_MS)

    async def _from_beginning(self, consumer: aiokafka.AIOKafkaConsumer) -> Sequence[aiokafka.TopicPartition]:
        partitions = [aiokafka.TopicPartition(self._topic.name, number) for number in range(self._topic.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        return partitions

    async def _read_to_end(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        ends = await consumer.end_offsets(await self._from_beginning(consumer))
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            await self._take(consumer)

    async def _follow(self) -> None:
        while self._consumer is not None:
            try:
                await self._take(self._consumer)
                if self._consumer._fetcher._fetch_task.done():  # noqa: SLF001 - aiokafka tells nobody that its own task has ended
                    await self._begin_again(self._consumer)
            except KafkaError as error:
                log.warning("topic %s cannot be read now: %r", self._topic.name, error)
                await asyncio.sleep(POLL_MS / 1000)

    async def _begin_again(self, ended: aiokafka.AIOKafkaConsumer) -> None:
        """Read the topic anew; what is known stays until something newer is read."""
        log.error("the consumer of topic %s ended; it begins again", self._topic.name)
        successor = self._new_consumer()
        await successor.start()
        self._consumer = successor
        await ended.stop()
        await self._from_beginning(successor)

    async def _take(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                self.apply(record.key, record.value)


def connection(kafka: KafkaSettings) -> dict[str, Any]:
    """Return aiokafka's settings for reaching the cluster."""
    found: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "security_protocol": kafka.security_protocol,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "group_id": None,
    }
    if kafka.security_protocol.startswith("SASL"):
        found |= {
            "sasl_mechanism": kafka.sasl_mechanism or "PLAIN",
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password,
        }
    if kafka.security_protocol.endswith("SSL"):
        found["ssl_context"] = tls(kafka)
    return found


def tls(kafka: KafkaSettings) -> ssl.SSLContext:
    """Return the TLS context of the settings."""
    context = ssl.create_default_context(cafile=kafka.tls_ca_file or None)
    if kafka.tls_cert_file:
        context.load_cert_chain(kafka.tls_cert_file, kafka.tls_key_file or None)
    return context
