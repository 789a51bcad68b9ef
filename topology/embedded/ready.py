"""When a broker is ready: asked with real requests, since an open port says little."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

NOT_YET = {
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError._TIMED_OUT,  # noqa: SLF001 - public under this name
    KafkaError._TRANSPORT,  # noqa: SLF001 - public under this name
}


def impatient_client(bootstrap: str) -> AdminClient:
    """Return a client that tries again at once, and says nothing about a broker that is not up yet."""
    retries = {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50}
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, **retries})


def has_leaders(client: AdminClient) -> bool:
    """Tell whether the broker is registered and leads all its partitions."""
    try:
        metadata = client.list_topics(timeout=0.25)
    except KafkaException:
        return False
    partitions = (partition for topic in metadata.topics.values() for partition in topic.partitions.values())
    return bool(metadata.brokers) and all(partition.leader >= 0 for partition in partitions)


def serves_groups(client: AdminClient) -> bool:
    """Tell whether consumer groups are served; asking makes their topic, which costs the first group 3 s otherwise."""
    try:
        client.describe_consumer_groups(["-"], request_timeout=1)["-"].result(2)
    except KafkaException as error:
        return bool(error.args[0].code() not in NOT_YET)
    except TimeoutError:
        return False
    return True
