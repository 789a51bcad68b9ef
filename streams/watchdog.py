"""Notices what has stopped without a word: only a restart cures it.

After a failed commit or a recovery race a consumer can go on processing for ever while its commits stand still; a task inside a client
library can end and nobody is told.
"""

import asyncio
from collections.abc import Iterable, Mapping

from streams.lanes import TopicPartition

KNOCK_S = 2.0


class Watchdog:
    """Remembers since when each partition's commits have stood still.

    Args:
        patience_s: seconds without any commit while records wait for one.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: dict[TopicPartition, tuple[int, float]] = {}
        self._progress: tuple[object, float] | None = None
        self._unread: dict[TopicPartition, tuple[int, float]] = {}

    def look(
        self, committed: Mapping[TopicPartition, int], uncommitted: Mapping[TopicPartition, int], now_s: float
    ) -> list[str]:
        """Return one sentence per stalled partition.

        Args:
            committed: offset each partition is committed up to.
            uncommitted: records of each partition that are done but not committed; partitions without any are left out.
            now_s: monotonic seconds.
        """
        self._since = {
            tp: self._since[tp]
            if tp in self._since and self._since[tp][0] == committed.get(tp, 0)
            else (committed.get(tp, 0), now_s)
            for tp in uncommitted
        }
        return [
            f"{tp.topic}-{tp.partition}: {uncommitted[tp]} records are done but nothing was committed for {now_s - since:.0f} s"
            for tp, (_, since) in self._since.items()
            if now_s - since >= self._patience_s
        ]

    def silent(self, silences_s: Mapping[str, float]) -> list[str]:
        """Return one sentence per sign of life that has been missing too long.

        Args:
            silences_s: what should happen all the time -> seconds since it last did.
        """
        return [f"{sign} for {silence:.0f} s" for sign, silence in silences_s.items() if silence >= self._patience_s]

    def unread(self, behind: Mapping[TopicPartition, int], now_s: float) -> list[str]:
        """Return one sentence per partition that has records of which none is taken.

        Args:
            behind: position of each partition that has records beyond it and none under way.
            now_s: monotonic seconds.
        """
        self._unread = {
            tp: self._unread[tp] if tp in self._unread and self._unread[tp][0] == position else (position, now_s)
            for tp, position in behind.items()
        }
        return [
            f"{tp.topic}-{tp.partition}: there are records after {position} but none was taken for {now_s - since:.0f} s"
            for tp, (position, since) in self._unread.items()
            if now_s - since >= self._patience_s
        ]

    def stuck(self, progress: object, now_s: float) -> list[str]:
        """Return a sentence when a rebalance makes no progress.

        Args:
            progress: changes with every step of it; None when there is none.
            now_s: monotonic seconds.
        """
        if progress is None or self._progress is None or self._progress[0] != progress:
            self._progress = None if progress is None else (progress, now_s)
            return []
        still = now_s - self._progress[1]
        return [f"the rebalance has made no progress for {still:.0f} s"] if still >= self._patience_s else []


async def any_answers(addresses: Iterable[str]) -> bool:
    """Tell whether a broker takes connections: while none does, a restart would cure nothing."""
    for address in addresses:
        host, _, port = address.strip().rpartition(":")
        try:
            async with asyncio.timeout(KNOCK_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:  # a time-out is one, too
            continue
        writer.close()
        return True
    return False
