"""The newest answers of a cluster, to be judged again."""

from collections import deque
from collections.abc import Sequence
from contextlib import aclosing, suppress

from schemas.codec import RecordUndecodable
from schemas.records import Answer
from streams.settings import Settings
from topology.contract import open_schemas
from topology.reading import TO_THE_END, Decoder, open_reader
from topology.topics import Topics


async def newest(most: int, settings: Settings) -> Sequence[Answer]:
    """Return at most `most` answers, the newest of the topic `answers`, each request once, oldest first.

    Raises:
        StartRefused: no broker answers, or the topic does not exist.
    """
    topics = Topics.of(settings.kafka)
    decoder = Decoder(await open_schemas(settings.registry, topics), [topics.answers])
    reader = await open_reader([topics.answers.name], TO_THE_END, settings.kafka)
    found: dict[str, Answer] = {}
    order: deque[str] = deque()
    async with aclosing(reader.records()) as records:
        async for read in records:
            with suppress(RecordUndecodable):  # a dead letter, too
                answer = await decoder.record(read)
                request_id = answer.origin.request_id
                if request_id not in found:
                    order.append(request_id)
                found[request_id] = answer
            while len(order) > most * settings.kafka.partitions:  # the partitions come one after the other
                del found[order.popleft()]
    return sorted(found.values(), key=lambda answer: answer.origin.event_time)[-most:]
