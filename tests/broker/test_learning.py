"""What the cluster learns: the same table however many workers count, whoever dies meanwhile, whatever comes twice."""

import asyncio
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from pathlib import Path
from random import Random

import pytest

from agents.rank import rules
from schemas.records import Ranking, Verdict
from schemas.registry import LockedIds, serde
from streams.cells import CELLS
from streams.settings import RankSettings
from tests.child import Child, forgestream
from tests.cluster import Cluster
from tests.given import NOON
from tests.progress import await_committed, await_stored, await_true
from tests.questions import Deployment
from topology.units import Unit, group

VERDICTS = 1_000
REPEATED = 100
WORKERS = 3
LEVELS = {"first": 0.6, "second": 0.75, "third": 0.5}


def verdicts() -> Iterable[Verdict]:
    """Yield verdicts of all cells, models of different quality taking turns; some come twice, some later than others."""
    chance = Random(2026)
    made: list[Verdict] = []
    for number in range(VERDICTS):
        model = chance.choices(tuple(LEVELS), (6, 3, 1))[0]
        made.append(
            Verdict(
                verdict_id=f"request-{number}/rules/2",
                cell=chance.choice(CELLS[:4]),
                model=model,
                score=min(1.0, max(0.0, chance.gauss(LEVELS[model], 0.1))),
                latency_ms=chance.uniform(10, 500),
                cost_usd=0.0,
                at=NOON + timedelta(seconds=number),
            )
        )
        yield made[-1]
        if number % (VERDICTS // REPEATED) == 0:
            yield chance.choice(made[-300:])


@pytest.mark.timeout(180)
def test_three_workers_count_1000_verdicts_as_one_would_across_kills(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """Two of the workers are killed while they count; the table is that of a sequential fold over the topic."""
    cluster, deployment = Cluster(kafka), Deployment(kafka, namespace)
    deployment.provision()
    topics, partitions = deployment.topics, deployment.kafka.partitions
    cluster.adopt([topics.verdicts.name, topics.standings.name], partitions)
    ids = LockedIds()
    asyncio.run(ids.start({f"{topics.verdicts.name}-value": Verdict, f"{topics.standings.name}-value": Ranking}))
    codec = serde(ids, topics.verdicts.name, Verdict)
    sent = [(verdict.cell.encode(), codec.encode(verdict)) for verdict in verdicts()]

    with ExitStack() as alive:
        workers = [
            alive.enter_context(
                Child(
                    forgestream("worker", "--unit", "learning"),
                    tmp_path / f"worker-{number}.log",
                    {**deployment.environment, "FORGESTREAM_ENGINE_WORKER_ID": f"learning-{number}"},
                )
            )
            for number in range(WORKERS)
        ]
        third = len(sent) // 3
        for part, victim in enumerate(workers[:2]):
            cluster.fill(topics.verdicts.name, sent[part * third : (part + 1) * third])
            await_stored(cluster, topics.standings.name, part * third + third // 3, workers[2])
            victim.kill()
            victim.start()
        cluster.fill(topics.verdicts.name, sent[2 * third :])
        learning = group(Unit.LEARNING, namespace)
        await_committed(cluster, learning, [topics.verdicts.name], len(sent), workers[2])

    rankings = serde(ids, topics.standings.name, Ranking)
    last = {stored.key.decode(): rankings.decode(stored.value) for stored in cluster.read(topics.standings.name)}
    logged = [codec.decode(stored.value) for stored in cluster.read(topics.verdicts.name)]
    assert len(logged) == len(sent) > VERDICTS
    assert {cell: replace(ranking, counted={}) for cell, ranking in last.items()} == folded(logged)
    assert sum(standing.samples for ranking in last.values() for standing in ranking.standings) == VERDICTS


def folded(logged: Iterable[Verdict]) -> Mapping[str, Ranking]:
    """Count the verdicts of each cell one after the other."""
    of_cell: defaultdict[str, list[Verdict]] = defaultdict(list)
    for verdict in logged:
        of_cell[verdict.cell].append(verdict)
    settings = RankSettings()
    return {
        cell: reduce(lambda now, one: rules.after(now, one, settings), said, rules.unranked(cell))
        for cell, said in of_cell.items()
    }


@pytest.mark.timeout(180)
def test_an_operator_orders_and_sees_the_effect(kafka: str, namespace: str, tmp_path: Path) -> None:
    """By the command line, on a running deployment: who, why, once."""
    deployment = Deployment(kafka, namespace)
    deployment.provision()
    worker = Child(
        forgestream("worker", "--unit", "learning", "--unit", "delivery"), tmp_path / "log", deployment.environment
    )

    def order(*arguments: str) -> "subprocess.CompletedProcess[str]":
        said = (*arguments, "--by", "ada", "--reason", "a test", "--json", "--wait", "60")
        return subprocess.run(
            forgestream(*said), env=worker_environment, capture_output=True, text=True, timeout=90, check=True
        )

    with worker:
        worker_environment = worker.environment
        promoted = json.loads(order("champions", "promote", "market/analysis", "smollm2", "--id", "order-1").stdout)
        order("champions", "freeze", "market/analysis")
        repeated = json.loads(order("champions", "promote", "market/analysis", "other", "--id", "order-1").stdout)
        forced = json.loads(order("circuits", "force-open", "smollm2").stdout)
        reset = json.loads(order("circuits", "reset", "smollm2").stdout)
        shown = subprocess.run(
            forgestream("champions", "list"), env=worker_environment, capture_output=True, text=True, check=True
        )
        await_true(lambda: True, worker, "the worker to be alive still")

    assert (promoted["champion"], promoted["reason"]) == ("smollm2", "promote by ada: a test")
    assert (repeated["champion"], repeated["frozen"], len(repeated["commands"])) == ("smollm2", True, 2)
    assert (forced["phase"], forced["reason"]) == ("forced_open", "force_open by ada: a test")
    assert (reset["phase"], reset["opened"]) == ("closed", 0)
    assert "* smollm2" in shown.stdout
    assert "frozen; promote by ada: a test" in shown.stdout
