"""Where the demo runs: nothing it makes is left, and nothing of somebody else's is touched."""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from streams.clients.models.registry import AUTO
from streams.settings import Settings
from topology.cluster import Cluster
from topology.demo.neighbours import Neighbours, neighbours

FREE = "smollm2,extractive"  # also where keys of others are set: a demo spends nobody's money
VERDICTS_TO_LEAD = 2  # few questions are asked here; FORGESTREAM_RANK_MIN_SAMPLES is for real traffic
RECOVERY_S = 5.0  # of an open circuit; FORGESTREAM_WATCH_RECOVERY_S is for providers that are down for minutes
PASSAGES = 3  # of a prompt at most: a small model on one core reads 300 tokens a second
PAUSE_S = 2.0  # between tries to deliver, at most


@asynccontextmanager
async def sandbox(settings: Settings) -> AsyncIterator[tuple[Settings, Neighbours]]:
    """Yield settings of a broker, topics and a vector store that are thrown away at the end, and who runs beside.

    Raises:
        StartRefused: the cluster of the settings cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="forgestream-demo-", ignore_cleanup_errors=True) as folder:
        store = replace(settings.store, uri=str(Path(folder) / "milvus.db"), token="")
        embedded = replace(settings.embedded, data_dir="")
        rank = replace(settings.rank, min_samples=min(settings.rank.min_samples, VERDICTS_TO_LEAD))
        # broker, stages and model share this machine: a model that takes all its cores waits for itself
        threads = min(settings.route.threads, max(1, (os.cpu_count() or 2) // 2))
        models = FREE if settings.route.models == AUTO else settings.route.models
        # no hedge: who answers is to follow from what is shown
        route = replace(settings.route, models=models, threads=threads, hedge_share=0.0)
        watch = replace(settings.watch, recovery_s=min(settings.watch.recovery_s, RECOVERY_S))
        pause_s = min(settings.dataforge.retry_max_s, PAUSE_S)
        dataforge = replace(
            settings.dataforge, retry_initial_s=min(settings.dataforge.retry_initial_s, pause_s), retry_max_s=pause_s
        )
        retrieve = replace(settings.retrieve, keep=min(settings.retrieve.keep, PASSAGES))
        cache = replace(settings.cache, exact="off", semantic="off")  # questions are repeated to be judged again
        own = replace(
            settings,
            store=store,
            embedded=embedded,
            rank=rank,
            route=route,
            watch=watch,
            dataforge=dataforge,
            retrieve=retrieve,
            cache=cache,
        )
        async with neighbours(own, Path(folder)) as (beside_them, beside), _topics_of_its_own(beside_them) as ours:
            yield ours, beside


@asynccontextmanager
async def _topics_of_its_own(own: Settings) -> AsyncIterator[Settings]:
    if not own.kafka.bootstrap:
        yield own
        return
    # a cluster of somebody else: topics and groups under a prefix of our own
    prefix = f"{own.kafka.topic_prefix}demo-{secrets.token_hex(4)}-"
    try:
        yield replace(own, kafka=replace(own.kafka, topic_prefix=prefix))
    finally:
        cluster = Cluster(own.kafka)
        await cluster.delete([name for name in await cluster.topics() if name.startswith(prefix)])
