"""Where the demo runs: nothing it makes is left, and nothing of somebody else's is touched."""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from streams.settings import Settings
from topology.cluster import Cluster

VERDICTS_TO_LEAD = 2  # few questions are asked here; FORGESTREAM_RANK_MIN_SAMPLES is for real traffic


@asynccontextmanager
async def sandbox(settings: Settings) -> AsyncIterator[Settings]:
    """Yield settings of a broker, topics and a vector store that are thrown away at the end.

    Raises:
        StartRefused: the cluster of the settings cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="forgestream-demo-", ignore_cleanup_errors=True) as folder:
        store = replace(settings.store, uri=str(Path(folder) / "milvus.db"), token="")
        embedded = replace(settings.embedded, data_dir="")
        rank = replace(settings.rank, min_samples=min(settings.rank.min_samples, VERDICTS_TO_LEAD))
        # broker, stages and model share this machine: a model that takes all its cores waits for itself
        route = replace(settings.route, threads=min(settings.route.threads, max(1, (os.cpu_count() or 2) // 2)))
        cache = replace(settings.cache, exact="off", semantic="off")  # questions are repeated to be judged again
        own = replace(settings, store=store, embedded=embedded, rank=rank, route=route, cache=cache)
        if not settings.kafka.bootstrap:
            yield own
            return
        # a cluster of somebody else: topics and groups under a prefix of our own
        prefix = f"{settings.kafka.topic_prefix}demo-{secrets.token_hex(4)}-"
        try:
            yield replace(own, kafka=replace(settings.kafka, topic_prefix=prefix))
        finally:
            cluster = Cluster(settings.kafka)
            await cluster.delete([name for name in await cluster.topics() if name.startswith(prefix)])
