"""The watchdog: a pure look at offsets and time."""

from streams.lanes import TopicPartition
from streams.watchdog import Watchdog

TEXTS = TopicPartition("texts", 0)


def test_a_partition_whose_commits_stand_still_is_reported_after_the_patience() -> None:
    watchdog = Watchdog(30.0)

    assert watchdog.look({TEXTS: 5}, {TEXTS: 3}, 100.0) == []
    assert watchdog.look({TEXTS: 5}, {TEXTS: 9}, 129.9) == []
    assert len(watchdog.look({TEXTS: 5}, {TEXTS: 9}, 130.0)) == 1


def test_a_commit_starts_the_patience_anew() -> None:
    watchdog = Watchdog(30.0)

    watchdog.look({TEXTS: 5}, {TEXTS: 3}, 100.0)
    watchdog.look({TEXTS: 8}, {TEXTS: 3}, 120.0)

    assert watchdog.look({TEXTS: 8}, {TEXTS: 3}, 149.9) == []
    assert len(watchdog.look({TEXTS: 8}, {TEXTS: 3}, 150.0)) == 1


def test_a_partition_with_nothing_to_commit_is_never_stalled() -> None:
    watchdog = Watchdog(30.0)

    watchdog.look({TEXTS: 5}, {TEXTS: 3}, 100.0)
    watchdog.look({TEXTS: 8}, {}, 110.0)

    assert watchdog.look({TEXTS: 8}, {}, 1000.0) == []
    assert watchdog.look({TEXTS: 8}, {TEXTS: 1}, 1001.0) == []
