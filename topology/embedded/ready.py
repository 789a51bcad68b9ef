"""When a broker is ready: asked with real requests, since an open port says little."""

from contextlib import closing

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

GROUP = "-"  # nobody joins it
ANSWER_S = 0.5
NOT_YET = {
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError._TIMED_OUT,  # noqa: SLF001 - public under this name
    KafkaError._TRANSPORT,  # noqa: SLF001 - public under this name
    KafkaError._WAIT_COORD,  # noqa: SLF001 - public under this name
}


def impatient_client(bootstrap: str) -> Consumer:
    """Return a client that tries again at once, and says nothing about a broker that is not up yet.

    A consumer: librdkafka's admin client aborts the process when the broker goes away while it looks for a group's coordinator.
    """
    retries = {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50}
    return Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP, "log_level": 0, **retries})


def has_leaders(client: Consumer) -> bool:
    """Tell whether the broker is registered and leads all its partitions."""
    try:
        metadata = client.list_topics(timeout=0.25)
    except KafkaException:
        return False
    partitions = (partition for topic in metadata.topics.values() for partition in topic.partitions.values())
    return bool(metadata.brokers) and all(partition.leader >= 0 for partition in partitions)


def serves_groups(bootstrap: str) -> bool:
    """Tell whether consumer groups are served; asking makes their topic, which costs the first group 3 s otherwise.

    A client of its own for each question: one that was told to wait asks for its coordinator again only after half a second.
    """
    with closing(impatient_client(bootstrap)) as client:
        try:
            client.committed([TopicPartition(GROUP, 0)], timeout=ANSWER_S)
        except KafkaException as error:
            return bool(error.args[0].code() not in NOT_YET)
        return True
