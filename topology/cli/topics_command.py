"""`forgestream topics`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from streams.settings import Settings
from topology.cli.console import Json, print_json, print_table, run, settings
from topology.cluster import Cluster, ExistingTopic
from topology.provision import differences, plan_of
from topology.topics import Topics
from topology.units import Unit, group

EPILOG = """
**Examples**

`forgestream topics` compares what is declared with what is on the cluster, and shows how far each group has read.

`forgestream topics --json | jq '.[] | select(.problems != [])'` is empty when all is well.
"""

Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicStatus:
    """A declared topic as the cluster has it. `lag` is per unit; `records` counts offsets, before compaction."""

    name: str
    exists: bool
    partitions: int
    declared_partitions: int
    records: int
    end_offsets: tuple[int, ...]
    lag: Mapping[str, int]
    config: Mapping[str, str]
    problems: tuple[str, ...]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("topics", epilog=EPILOG)
    def show(*, as_json: Json = False) -> None:
        """What exists on the cluster against what is declared: partitions, settings, offsets, lag of every group."""
        found = run(lambda: statuses(settings()))
        if as_json:
            print_json(found)
            return
        print_table(
            "Topics on the cluster",
            ["topic", "partitions#", "records#", "lag", "state"],
            [[one.name, str(one.partitions), str(one.records), _lag(one.lag), _state(one)] for one in found],
        )
        for problem in (problem for one in found for problem in one.problems):
            typer.echo(f"! {problem}")


async def statuses(settings: Settings) -> Sequence[TopicStatus]:
    """Ask the cluster about every declared topic.

    Raises:
        BrokerUnreachable: no broker answers.
    """
    cluster = Cluster(settings.kafka)
    topics = Topics.of(settings.kafka)
    existing = await cluster.topics()
    found = [existing[topic.name] for topic in topics if topic.name in existing]
    configs = await cluster.configs([topic.name for topic in found])
    offsets = await cluster.offsets(found)
    committed = {unit: await cluster.committed(group(unit, settings.kafka.topic_prefix)) for unit in Unit}
    result = []
    for topic in topics:
        there = existing.get(topic.name)
        plan = plan_of(topic, settings.kafka)
        ends = [offsets[place] for place in _places(there) if place in offsets]
        result.append(
            TopicStatus(
                name=topic.name,
                exists=there is not None,
                partitions=there.partitions if there else 0,
                declared_partitions=topic.partitions,
                records=sum(end - first for first, end in ends),
                end_offsets=tuple(end for _, end in ends),
                lag={
                    str(unit): lag(done, offsets, there) for unit, done in committed.items() if _reads(done, topic.name)
                },
                config={name: configs.get(topic.name, {}).get(name, "") for name in plan.config} if there else {},
                problems=tuple(differences([plan], existing, configs)) if there else (),
            ),
        )
    return result


def lag(
    committed: Mapping[Place, int],
    offsets: Mapping[Place, tuple[int, int]],
    topic: ExistingTopic | None,
) -> int:
    """Return how many records of a topic a group has not committed yet; a partition without a commit counts in full."""
    return sum(
        max(0, offsets[place][1] - committed.get(place, offsets[place][0]))
        for place in _places(topic)
        if place in offsets
    )


def _places(topic: ExistingTopic | None) -> Iterable[Place]:
    return [(topic.name, partition) for partition in range(topic.partitions)] if topic else []


def _reads(committed: Mapping[Place, Any], name: str) -> bool:
    return any(topic == name for topic, _ in committed)


def _lag(lag_by_unit: Mapping[str, int]) -> str:
    return ", ".join(f"{unit} {behind}" for unit, behind in lag_by_unit.items()) or "-"


def _state(one: TopicStatus) -> str:
    if not one.exists:
        return "not created: the worker that needs it makes it"
    return "see below" if one.problems else "as declared"
