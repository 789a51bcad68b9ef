"""Where a key lives: Java's partitioner, which every producer of ours uses."""

from aiokafka.partitioner import murmur2


def partition(key: bytes, partitions: int) -> int:
    """Return the partition of a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
