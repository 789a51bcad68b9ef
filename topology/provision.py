"""Makes every topic and changelog before a worker starts, and refuses to start on topics that would lose order or data.

Faust ignores a subscribed topic that does not exist yet, and would make changelogs with one replica.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from streams.errors import StartRefused
from streams.producer import ENVELOPE_BYTES
from streams.settings import KafkaSettings
from streams.topic import Topic
from topology.cluster import Cluster, ExistingTopic, TopicPlan

POLL_S = 0.1
CHANGELOG_BYTES = 1024 * 1024
SEGMENTS_PER_RETENTION = 24
LAG_MS = (
    24 * 60 * 60 * 1000
)  # after which the broker closes a segment and compacts it, however little was written since


def plan_of(topic: Topic[Any], kafka: KafkaSettings) -> TopicPlan:
    """Return how the broker must keep a declared topic."""
    kept = _compact(topic.retention) if topic.compacted else _delete_after(topic.retention)
    return TopicPlan(
        name=topic.name,
        partitions=topic.partitions,
        config=_with_bounds(kept, kafka, topic.max_message_bytes),
    )


def plan_of_changelog(name: str, kafka: KafkaSettings) -> TopicPlan:
    """Return how the broker must keep the changelog of a table: compacted only, or recovery never ends.

    What a row was before it was changed or deleted is compacted away within a day: conversations are deleted on request.
    """
    kept = {**_compact(), "max.compaction.lag.ms": str(LAG_MS)}
    return TopicPlan(name=name, partitions=kafka.partitions, config=_with_bounds(kept, kafka, CHANGELOG_BYTES))


async def provision(plans: Collection[TopicPlan], kafka: KafkaSettings) -> Sequence[str]:
    """Create what is missing, check what exists, wait until all of it can be used. Returns the names created.

    Raises:
        BrokerUnreachable: no broker answered in time.
        StartRefused: topics are not as they must be; every problem is listed.
    """
    cluster = Cluster(kafka)
    before = await cluster.topics()
    missing = [plan for plan in plans if plan.name not in before]
    problems = [*await cluster.create(missing)]
    if not problems:
        existing = await _awaited(cluster, {plan.name for plan in plans}, kafka.timeout_s)
        await cluster.offsets(
            [existing[plan.name] for plan in missing if plan.name in existing]
        )  # led, not only said to be
        found = {plan.name for plan in plans} & set(before)  # another worker may have made them a moment ago
        problems = [*differences(plans, existing, await cluster.configs(found))]
    if problems:
        raise StartRefused(
            "the topics are not as they must be:\n" + "\n".join(f"  - {problem}" for problem in problems)
        )
    return [plan.name for plan in missing]


def differences(
    plans: Iterable[TopicPlan],
    existing: Mapping[str, ExistingTopic],
    configs: Mapping[str, Mapping[str, str]],
) -> Iterable[str]:
    """Yield one sentence per existing topic that would lose order or data."""
    for plan in plans:
        topic = existing.get(plan.name)
        if topic is None:
            yield f"topic `{plan.name}` did not appear within the time-out; look at the broker's log"
            continue
        if topic.partitions != plan.partitions:
            yield (
                f"topic `{plan.name}` has {topic.partitions} partitions where {plan.partitions} are needed: all topics "
                f"must have as many, so delete it or set FORGESTREAM_KAFKA_PARTITIONS={topic.partitions}"
            )
        wanted, policy = plan.config["cleanup.policy"], configs.get(plan.name, {}).get("cleanup.policy")
        if policy is not None and set(policy.split(",")) != set(wanted.split(",")):
            yield f"topic `{plan.name}` has cleanup.policy={policy} where {wanted} is needed: alter its configuration"


async def _awaited(cluster: Cluster, names: Collection[str], timeout_s: float) -> Mapping[str, ExistingTopic]:
    """Return the topics once all of `names` have leaders, or as they are after the time-out."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        existing = await cluster.topics()
        ready = all(name in existing and existing[name].ready for name in names)
        if ready or loop.time() >= deadline:
            return {name: topic for name, topic in existing.items() if topic.ready}
        await asyncio.sleep(POLL_S)


def _compact(retention: timedelta | None = None) -> Mapping[str, str]:
    """Keep the newest record of each key; with a retention not even that, in segments small enough to be deleted in time."""
    if retention is None:
        return {"cleanup.policy": "compact"}
    kept_ms = int(retention.total_seconds() * 1000)
    return {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(kept_ms),
        "segment.ms": str(kept_ms // SEGMENTS_PER_RETENTION),
    }


def _delete_after(retention: timedelta | None) -> Mapping[str, str]:
    kept_ms = -1 if retention is None else int(retention.total_seconds() * 1000)
    return {"cleanup.policy": "delete", "retention.ms": str(kept_ms)}


def _with_bounds(kept: Mapping[str, str], kafka: KafkaSettings, max_bytes: int) -> Mapping[str, str]:
    return {
        **kept,
        "max.message.bytes": str(max_bytes + ENVELOPE_BYTES),
        "min.insync.replicas": str(kafka.min_insync_replicas),
    }
