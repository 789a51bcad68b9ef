"""The graph as a table, as Mermaid and as JSON, read off the same function that production runs.

Every stage is attached to a recorder instead of an app: what a stage reads it declares, what it writes and uses are the
topics and ports among the arguments of its `attach`.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

from streams.settings import Settings
from streams.topic import Topic
from topology.graph import attach_unit
from topology.outside import Port, looked_up, unconnected
from topology.topics import ENGINE, OPERATORS, PRODUCERS, Topics
from topology.units import Unit, group

if TYPE_CHECKING:
    from streams.app import App


@dataclass(frozen=True, slots=True, kw_only=True)
class StageNode:
    """One stage as it is connected."""

    name: str
    unit: Unit
    reads: tuple[Topic[Any], ...]
    writes: tuple[Topic[Any], ...]
    uses: tuple[str, ...]
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """All stages and the topics between them."""

    topics: Topics
    stages: tuple[StageNode, ...]

    def readers(self, topic: Topic[Any]) -> tuple[StageNode, ...]:
        """Return the stages that read the topic."""
        return tuple(stage for stage in self.stages if topic in stage.reads)

    def writers(self, topic: Topic[Any]) -> tuple[StageNode, ...]:
        """Return the stages that write the topic, beside the engine with its terminal results and dead letters."""
        return tuple(stage for stage in self.stages if topic in stage.writes)

    def viewers(self, topic: Topic[Any]) -> tuple[StageNode, ...]:
        """Return the stages that see the newest record of every key of the topic."""
        ports = [port for port, viewed in looked_up(self.topics).items() if viewed is topic]
        return tuple(stage for stage in self.stages if set(ports) & set(stage.uses))

    def connected(self) -> tuple[Topic[Any], ...]:
        """Return the topics that have a reader or a writer today; the others wait for their stage."""
        used = [topic for stage in self.stages for topic in (*stage.reads, *stage.writes)]
        return tuple(topic for topic in self.topics if topic in used or topic.owner == ENGINE or self.viewers(topic))

    def tables(self) -> Iterator[tuple[Unit, str]]:
        """Yield every table with the unit that owns it."""
        return ((stage.unit, table) for stage in self.stages for table in stage.tables)


class Recorder:
    """Takes the place of a unit's app and notes what is attached."""

    def __init__(self, unit: Unit, ports: Mapping[int, str]) -> None:
        self.unit = unit
        self.stages: list[StageNode] = []
        self.counted: dict[str, object] = {}
        self._ports = ports
        self._tables: list[str] = []

    def stage(self, *reads: Topic[Any], name: str, **_: object) -> Callable[[Any], Any]:
        """Note a stage."""
        given = _arguments_of_caller()
        self.stages.append(
            StageNode(
                name=name,
                unit=self.unit,
                reads=reads,
                writes=tuple(value for value in given if isinstance(value, Topic) and value not in reads),
                uses=tuple(self._ports[id(value)] for value in given if id(value) in self._ports),
                tables=tuple(self._tables),
            ),
        )
        self._tables = []
        return lambda handler: handler

    def task(self, _: object) -> None:
        """Take what would run beside the stages; it is no part of the graph."""

    def owned_table(self, name: str, *_: object, **__: object) -> Port:
        """Note a table of the stage that is about to be declared."""
        self._tables.append(name)
        return Port(name)


def drawn(settings: Settings) -> Diagram:
    """Return the graph of a deployment."""
    topics = Topics.of(settings.kafka)
    outside = unconnected()
    ports = [getattr(outside, declared.name) for declared in fields(outside)]
    names = {id(port): port.name for port in ports if isinstance(port, Port)}
    stages: list[StageNode] = []
    for unit in Unit:
        recorder = Recorder(unit, names)
        attach_unit(unit, cast("App", recorder), topics, outside, settings)
        stages += recorder.stages
    return Diagram(topics=topics, stages=tuple(stages))


def mermaid(settings: Settings | None = None) -> str:
    """Return the graph as a Mermaid chart: stages are boxes, topics between them arrows, the outer ones cylinders."""
    diagram = drawn(settings or Settings())
    lines = ["flowchart LR"]
    for unit in Unit:
        boxes = [f"    {stage.name}[{stage.name}]" for stage in diagram.stages if stage.unit is unit]
        tables = [f"    {name}[({name} table)]" for owner, name in diagram.tables() if owner is unit]
        lines += [f'  subgraph unit_{unit}["{unit}"]', *boxes, *tables, "  end"]
    for topic in diagram.connected():
        lines += [f"  {line}" for line in _arrows(diagram, topic)]
    lines += [f"  {stage.name} === {table}" for stage in diagram.stages for table in stage.tables]
    lines += ["  failed{{every stage, of a record that fails}}"]
    lines += [f"  failed -.-> {_node(topic)}" for topic in (diagram.topics.results, diagram.topics.dead_letters)]
    return "\n".join(lines) + "\n"


def as_json(diagram: Diagram) -> Mapping[str, Any]:
    """Return the graph as plain values."""
    prefix = "" if not (first := next(iter(diagram.topics), None)) else first.name.removesuffix("texts")
    return {
        "units": [
            {
                "name": str(unit),
                "group": group(unit, prefix),
                "stages": [stage.name for stage in diagram.stages if stage.unit is unit],
            }
            for unit in Unit
        ],
        "stages": [
            {
                "name": stage.name,
                "unit": str(stage.unit),
                "reads": [topic.name for topic in stage.reads],
                "writes": [topic.name for topic in stage.writes],
                "uses": list(stage.uses),
                "tables": list(stage.tables),
            }
            for stage in diagram.stages
        ],
        "topics": [_topic_as_json(diagram, topic) for topic in diagram.topics],
    }


STAGE_COLUMNS = ("unit", "stage", "reads", "writes", "uses", "tables")
TOPIC_COLUMNS = ("topic", "record", "key", "partitions#", "kept", "written by", "read by", "holds")


def stage_rows(diagram: Diagram) -> Iterator[Sequence[str]]:
    """Yield one row of text per stage."""
    for stage in diagram.stages:
        reads, writes = (", ".join(topic.name for topic in topics) for topics in (stage.reads, stage.writes))
        yield stage.unit, stage.name, reads, writes or "-", ", ".join(stage.uses) or "-", ", ".join(stage.tables) or "-"


def topic_rows(diagram: Diagram) -> Iterator[Sequence[str]]:
    """Yield one row of text per topic."""
    for topic in diagram.topics:
        viewers = [f"{stage.name} (view)" for stage in diagram.viewers(topic)]
        readers = ", ".join([*(stage.name for stage in diagram.readers(topic)), *viewers]) or "-"
        writers = ", ".join(stage.name for stage in diagram.writers(topic)) or topic.owner
        yield (
            topic.name,
            topic.record.__name__,
            topic.key_name,
            str(topic.partitions),
            kept(topic),
            writers,
            readers,
            topic.doc,
        )


def kept(topic: Topic[Any]) -> str:
    """Return how long the broker keeps a record, in words."""
    if topic.retention is None:
        return "newest per key" if topic.compacted else "for ever"
    days = f"{topic.retention.days} day{'s' if topic.retention.days > 1 else ''}"
    return f"newest per key, {days}" if topic.compacted else days


def _topic_as_json(diagram: Diagram, topic: Topic[Any]) -> Mapping[str, Any]:
    return {
        "name": topic.name,
        "record": topic.record.__name__,
        "key": topic.key_name,
        "partitions": topic.partitions,
        "retention_s": None if topic.retention is None else topic.retention.total_seconds(),
        "compacted": topic.compacted,
        "max_message_bytes": topic.max_message_bytes,
        "owner": topic.owner,
        "readers": [stage.name for stage in diagram.readers(topic)],
        "viewers": [stage.name for stage in diagram.viewers(topic)],
        "writers": [stage.name for stage in diagram.writers(topic)],
        "connected": topic in diagram.connected(),
        "doc": topic.doc,
    }


def _arrows(diagram: Diagram, topic: Topic[Any]) -> Iterator[str]:
    readers, writers, node = diagram.readers(topic), diagram.writers(topic), _node(topic)
    outer = topic.owner in {PRODUCERS, OPERATORS} or topic is diagram.topics.results
    if writers and readers and not outer:
        for writer in writers:
            for reader in readers:
                yield f"{writer.name} -- {topic.name} --> {reader.name}"
        return
    yield f"{node}[({topic.name})]"
    for reader in readers:
        yield f"{node} --> {reader.name}"
    for writer in writers:
        yield f"{writer.name} --> {node}"
    for viewer in diagram.viewers(topic):
        yield f"{node} -. view .-> {viewer.name}"


def _node(topic: Topic[Any]) -> str:
    return "topic_" + re.sub(r"\W", "_", topic.name)


def _arguments_of_caller() -> Sequence[object]:
    """Return the arguments of the `attach` that called `Recorder.stage`."""
    here = inspect.currentframe()
    recorder = here.f_back if here else None
    attach = recorder.f_back if recorder else None
    if attach is None:
        return ()
    seen = inspect.getargvalues(attach)
    names = inspect.getargs(attach.f_code)
    return [seen.locals[name] for name in (*names.args, *([names.varargs] if names.varargs else []))]
