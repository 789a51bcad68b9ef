"""Notices work that is done but not committed.

After a failed commit or a recovery race a consumer can go on processing for ever while its commits stand still; only a restart cures it.
"""

from collections.abc import Mapping

from streams.lanes import TopicPartition


class Watchdog:
    """Remembers since when each partition's commits have stood still.

    Args:
        patience_s: seconds without any commit while records wait for one.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: dict[TopicPartition, tuple[int, float]] = {}

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
