"""The results of one variant, written window by window: the checkpoint of a replay, and what its report is made of."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from schemas.codec import RecordUndecodable
from schemas.records import ReplayedRequest
from schemas.registry import SchemaSource, serde
from streams.errors import DeliveryFailed
from streams.producer import Producer
from streams.settings import KafkaSettings
from streams.topic import Topic
from topology.reading import TO_THE_END, Decoder, open_reader


class Journal:
    """Reads and appends the results of one variant."""

    def __init__(self, topic: Topic[ReplayedRequest], ids: SchemaSource, kafka: KafkaSettings) -> None:
        self.topic = topic
        self._ids = ids
        self._kafka = kafka
        self._serde = serde(ids, topic.name, ReplayedRequest)

    async def read(self) -> AsyncGenerator[ReplayedRequest, None]:
        """Yield what is done, in order, each request once: a window may have been written twice around a kill.

        Raises:
            DeliveryFailed: the topic was damaged.
        """
        decoder = Decoder(self._ids, [self.topic])
        reader = await open_reader([self.topic.name], TO_THE_END, self._kafka)
        expected = 0
        async with aclosing(reader.records()) as records:
            async for found in records:
                try:
                    done: ReplayedRequest = await decoder.record(found)
                except RecordUndecodable as error:
                    raise DeliveryFailed(
                        f"{self.topic.name} holds something else at {found.offset}; drop the replay"
                    ) from error
                if done.position == expected:
                    expected += 1
                    yield done

    async def append(self, window: Sequence[ReplayedRequest], producer: Producer) -> None:
        """Write a window and wait for the broker.

        Raises:
            DeliveryFailed: the broker did not take all of it.
        """
        refusals: list[str] = []
        left, confirmed = len(window), asyncio.Event()

        def delivered(error: object, _message: object) -> None:
            nonlocal left
            left -= 1
            if error is not None:
                refusals.append(str(error))
            if left == 0:
                confirmed.set()

        for done in window:
            producer.produce(
                self.topic.name,
                self._serde.encode(done),
                self.topic.key(done).encode(),
                on_delivery=delivered,
                headers=(),
                timestamp_ms=int(done.at.timestamp() * 1000),
            )
        await confirmed.wait()
        if refusals:
            raise DeliveryFailed(f"the broker did not take results of the replay: {refusals[0]}")
