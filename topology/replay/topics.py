"""The topics of replays: the list of them, what providers have said, and per replay and variant the results.

They are no topics of the pipeline: no worker makes them, and a deployment that never replays has none.
"""

from collections.abc import Collection

from schemas.records import RecordedAnswer, Replay, ReplayedRequest
from schemas.registry import LockedIds, SchemaSource
from streams.settings import KafkaSettings
from streams.topic import Topic
from topology.contract import subjects
from topology.provision import plan_of, provision

OWNER = "replay"


def replays(kafka: KafkaSettings) -> Topic[Replay]:
    """Return the topic that lists the replays of a deployment."""
    return Topic(
        name=f"{kafka.topic_prefix}replays",
        record=Replay,
        key=lambda replay: replay.name,
        key_name="name",
        owner=OWNER,
        partitions=1,
        doc="What was replayed, and how far it got",
        retention=None,
        compacted=True,
    )


def recorded_answers(kafka: KafkaSettings) -> Topic[RecordedAnswer]:
    """Return the topic of what providers said to replays; all replays of a deployment share it."""
    return Topic(
        name=f"{kafka.topic_prefix}replay-answers",
        record=RecordedAnswer,
        key=lambda answer: answer.ask_id,
        key_name="ask_id",
        owner=OWNER,
        partitions=kafka.partitions,
        doc="What models said to replays, to be said again without asking them",
        retention=None,
        compacted=True,
    )


def results(kafka: KafkaSettings, name: str, variant: int) -> Topic[ReplayedRequest]:
    """Return the topic of one variant's results: one partition, in the order of the range, kept until the replay is dropped."""
    return Topic(
        name=f"{own_prefix(kafka, name)}{variant}-results",
        record=ReplayedRequest,
        key=lambda done: done.result.origin.request_id,
        key_name="request_id",
        owner=OWNER,
        partitions=1,
        doc="Requests of a replay and what they ended with",
        retention=None,
        max_message_bytes=2 * 1024 * 1024,  # a result of the largest size, its question and its calls
    )


def own_prefix(kafka: KafkaSettings, name: str) -> str:
    """Return what the names of all topics and groups of one replay begin with."""
    return f"{kafka.topic_prefix}replay-{name}-"


async def ready(
    topics: Collection[Topic[Replay] | Topic[RecordedAnswer] | Topic[ReplayedRequest]], kafka: KafkaSettings
) -> SchemaSource:
    """Make topics of replays that are missing; returns the ids of their records: ours, so that no registry is written to.

    Raises:
        StartRefused: they cannot be made, or are not as they must be.
    """
    await provision([plan_of(topic, kafka) for topic in topics], kafka)
    ids = LockedIds()
    await ids.start(subjects(topics))
    return ids
