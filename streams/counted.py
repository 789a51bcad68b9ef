"""Which of two values of one key is the older one, whatever their order in the log.

A value remembers, per source partition, the offset it has counted up to. A worker that lost its partitions while its last records were on
their way can write an old value after its successor's newer one; every reader of such a log leaves it out.
"""

from collections.abc import Mapping


def goes_back(newer: Mapping[str, int], known: Mapping[str, int]) -> bool:
    """Tell whether `newer` has counted less of some source than the value that is `known` already."""
    return any(newer.get(source, -1) < offset for source, offset in known.items())
