"""The watchdog: a pure look at offsets and time, and a knock at the brokers."""

import asyncio

from streams.lanes import TopicPartition
from streams.watchdog import Watchdog, any_answers

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


def test_a_sign_of_life_that_is_missing_too_long_is_reported() -> None:
    watchdog = Watchdog(30.0)

    assert watchdog.silent({"no heartbeat": 29.9, "no fetch": 0.0}) == []
    assert watchdog.silent({"no heartbeat": 30.0, "no fetch": 0.0}) == ["no heartbeat for 30 s"]


def test_a_rebalance_is_stuck_only_without_any_progress() -> None:
    watchdog = Watchdog(30.0)

    assert watchdog.stuck((1, 0), 100.0) == []
    assert watchdog.stuck((1, 5), 129.0) == []
    assert watchdog.stuck((1, 5), 158.9) == []
    assert len(watchdog.stuck((1, 5), 159.0)) == 1
    assert watchdog.stuck(None, 160.0) == []
    assert watchdog.stuck((1, 5), 161.0) == []


def test_records_of_which_none_is_taken_are_reported_and_any_progress_starts_the_patience_anew() -> None:
    watchdog = Watchdog(30.0)

    assert watchdog.unread({TEXTS: 5}, 100.0) == []
    assert watchdog.unread({TEXTS: 6}, 129.0) == []
    assert watchdog.unread({}, 140.0) == []
    assert watchdog.unread({TEXTS: 6}, 150.0) == []
    assert len(watchdog.unread({TEXTS: 6}, 180.0)) == 1


async def test_a_knock_tells_whether_any_broker_takes_connections() -> None:
    async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await any_answers(["127.0.0.1:1", f" 127.0.0.1:{port}"])

    assert not await any_answers(["127.0.0.1:1"])
