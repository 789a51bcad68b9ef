import asyncio

import pytest

from streams.errors import StartRefused
from streams.settings import KafkaSettings
from topology.cluster import Cluster, TopicPlan
from topology.provision import plan_of, plan_of_changelog, provision
from topology.topics import Topics


def settings_of(kafka: str, namespace: str, **changes: int) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka, topic_prefix=namespace, **changes)  # type: ignore[arg-type]  # numbers, all of them


async def test_every_topic_is_made_as_declared(kafka: str, namespace: str) -> None:
    """Partitions, retention and largest record of all topics, and of a changelog, are what the declaration says."""
    settings = settings_of(kafka, namespace, partitions=2)
    plans = [
        *(plan_of(topic, settings) for topic in Topics.of(settings)),
        plan_of_changelog(f"{namespace}log", settings),
    ]

    created = await provision(plans, settings)

    cluster = Cluster(settings)
    existing, configs = await cluster.topics(), await cluster.configs([plan.name for plan in plans])
    assert set(created) == {plan.name for plan in plans}
    for plan in plans:
        assert existing[plan.name].partitions == 2
        assert {name: configs[plan.name][name] for name in plan.config} == plan.config


async def test_workers_that_start_at_once_do_not_disturb_each_other(kafka: str, namespace: str) -> None:
    settings = settings_of(kafka, namespace)
    plans = [plan_of(topic, settings) for topic in Topics.of(settings)][:5]

    await asyncio.gather(*(provision(plans, settings) for _ in range(4)))

    assert {plan.name for plan in plans} <= set(await Cluster(settings).topics())
    assert not await provision(plans, settings)


async def test_topics_with_the_wrong_partitions_or_policy_refuse_the_start_all_at_once(
    kafka: str, namespace: str
) -> None:
    settings = settings_of(kafka, namespace)
    topics = Topics.of(settings)
    plans = [plan_of(topics.texts, settings), plan_of(topics.standings, settings)]
    wrong = [
        TopicPlan(name=topics.texts.name, partitions=1, config={}),
        TopicPlan(name=topics.standings.name, partitions=4, config={"cleanup.policy": "compact,delete"}),
    ]
    await provision(
        [
            TopicPlan(name=plan.name, partitions=plan.partitions, config={"cleanup.policy": "delete", **plan.config})
            for plan in wrong
        ],
        settings,
    )

    with pytest.raises(StartRefused) as caught:
        await provision(plans, settings)

    assert "FORGESTREAM_KAFKA_PARTITIONS=1" in caught.value.message
    assert "cleanup.policy=compact,delete" in caught.value.message


async def test_more_replicas_than_brokers_are_refused_with_the_brokers_words(kafka: str, namespace: str) -> None:
    settings = settings_of(kafka, namespace, replication=7)

    with pytest.raises(StartRefused, match="cannot be created"):
        await provision([plan_of(Topics.of(settings).texts, settings)], settings)
