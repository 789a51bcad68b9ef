"""The jars in the cache: fetched once, checked always, whole or not there."""

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
    return prepare(cache)


def copied(distribution: Distribution) -> Callable[[Jar, Path], Path]:
    """A download that copies from the machine's cache."""
    jars = distribution.class_path[0].parent

    def fetch(jar: Jar, directory: Path) -> Path:
        return Path(shutil.copy(jars / jar.name, directory))

    return fetch


def test_two_parallel_starts_with_an_empty_cache_download_once_and_both_work(
    distribution: Distribution, tmp_path: Path
) -> None:
    """The second waits for the first one's download and then uses it."""
    fetched: list[str] = []
    copy = copied(distribution)

    def counting(jar: Jar, directory: Path) -> Path:
        fetched.append(jar.name)
        return copy(jar, directory)

    brokers = [EmbeddedKafka(EmbeddedSettings(cache_dir=str(tmp_path / "cache")), fetch=counting) for _ in range(2)]
    threads = [threading.Thread(target=broker.start) for broker in brokers]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        clusters = {AdminClient({"bootstrap.servers": b.bootstrap}).list_topics(timeout=10).cluster_id for b in brokers}
    finally:
        for broker in brokers:
            broker.stop()

    assert len(clusters) == 2
    assert sorted(fetched) == sorted(jar.name for jar in JarLock.read().jars)
    assert not [entry for entry in (tmp_path / "cache").rglob("*") if entry.name.startswith((".download", ".derive"))]
