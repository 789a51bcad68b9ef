"""Waiting for a worker: until it has written or acknowledged enough, failing with its log when it ends instead."""

from collections.abc import Callable, Sequence

from tests.child import Child
from tests.cluster import Cluster
from tests.eventually import eventually

WITHIN_S = 60.0


def await_stored(cluster: Cluster, topic: str, count: int, worker: Child) -> None:
    """Wait until the topic has at least `count` records."""
    await_true(lambda: cluster.stored([topic]) >= count, worker, f"{count} records on {topic}")


def await_committed(cluster: Cluster, group: str, topics: Sequence[str], count: int, worker: Child) -> None:
    """Wait until the group has acknowledged `count` records."""
    await_true(lambda: cluster.committed(group, topics) >= count, worker, f"{count} records acknowledged by {group}")


def await_true(condition: Callable[[], bool], worker: Child, what: str) -> None:
    """Wait until the condition holds."""
    met = False

    def met_or_ended() -> bool:
        nonlocal met
        met = condition()
        return met or worker.returncode is not None

    try:
        eventually(met_or_ended, within_s=WITHIN_S, what=what)
    except AssertionError as late:
        raise AssertionError(f"{late}\n{worker.tail()}") from None
    assert met, f"the worker ended ({worker.returncode}) before: {what}\n{worker.tail()}"
