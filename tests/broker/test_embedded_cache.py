"""The jars in the cache, on the real ones: fetched once, checked always, whole or not there."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streams.settings import EmbeddedSettings
from topology.embedded.distribution import Distribution, prepare
from topology.embedded.jars import Jar, JarLock
from topology.embedded.kafka import EmbeddedKafka


@pytest.fixture(scope="module")
def distribution(cache: Path) -> Distribution:
    """What the machine's cache holds."""
    return prepare(cache)


class CopyingFetch:
    """A download that copies from the machine's cache and remembers what was asked for."""

    def __init__(self, distribution: Distribution) -> None:
        self._jars = distribution.class_path[0].parent
        self.asked: list[str] = []

    def __call__(self, jar: Jar, directory: Path) -> Path:
        self.asked.append(jar.name)
        return Path(shutil.copy(self._jars / jar.name, directory))


def in_parallel(*actions: Callable[[], None]) -> None:
    """Do all at once."""
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_two_parallel_starts_with_an_empty_cache_download_once_and_both_work(
    distribution: Distribution, tmp_path: Path
) -> None:
    """The second waits for the first one's download and then uses it; nothing half-made stays behind."""
    fetch = CopyingFetch(distribution)
    cache = tmp_path / "cache"
    brokers = [EmbeddedKafka(EmbeddedSettings(cache_dir=str(cache)), fetch=fetch) for _ in range(2)]

    try:
        in_parallel(*(broker.start for broker in brokers))
        clusters = {AdminClient({"bootstrap.servers": b.bootstrap}).list_topics(timeout=10).cluster_id for b in brokers}
    finally:
        in_parallel(*(broker.stop for broker in brokers))

    assert len(clusters) == 2
    assert sorted(fetch.asked) == sorted(jar.name for jar in JarLock.read().jars)
    assert not [entry for entry in cache.rglob(".*") if entry.name.startswith((".download", ".derive"))]
    assert [len(list(cache.rglob(pattern))) for pattern in ("*.tmp", "java-*.jsa", "kafka-*.jsa")] == [0, 1, 1]


def test_a_damaged_jar_is_fetched_again_and_the_others_are_not(distribution: Distribution, tmp_path: Path) -> None:
    """A jar with one bit changed and one cut short are replaced; the class path is whole again."""
    fetch = CopyingFetch(distribution)
    jars = tmp_path / "cache" / distribution.class_path[0].parent.relative_to(distribution.checkpoint.parents[1])
    shutil.copytree(distribution.class_path[0].parent, jars)
    flipped, short = (jars / path.name for path in distribution.class_path[:2])
    flipped.write_bytes(bytes([flipped.read_bytes()[0] ^ 1]) + flipped.read_bytes()[1:])
    short.write_bytes(short.read_bytes()[:-1])

    again = prepare(tmp_path / "cache", fetch=fetch)

    assert sorted(fetch.asked) == sorted([flipped.name, short.name])
    assert [p.read_bytes() for p in again.class_path] == [p.read_bytes() for p in distribution.class_path]
