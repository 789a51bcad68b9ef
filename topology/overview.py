"""The graph from afar, as Mermaid: units with their stages in them, and the topics that go in, come out or pass between units."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from streams.settings import Settings
from streams.topic import Topic
from topology.diagram import Diagram, StageNode, drawn
from topology.topics import ENGINE, OPERATORS, PRODUCERS
from topology.units import Unit


def overview(settings: Settings | None = None) -> str:
    """Return the chart. What comes out is what no stage reads, and the results."""
    diagram = drawn(settings or Settings())
    lines = ["flowchart LR", *_boxes(diagram), *_between(diagram)]
    entering, leaving = defaultdict[Unit, list[str]](list), defaultdict[Unit, list[str]](list)
    for topic in diagram.connected():
        for unit in _units((*diagram.readers(topic), *diagram.viewers(topic))) if _enters(topic) else ():
            entering[unit].append(topic.name)
        for unit in _units(diagram.writers(topic)) if _leaves(diagram, topic) else ():
            leaving[unit].append(topic.name)
    lines += [f"  in_{unit}>{'<br/>'.join(names)}] --> {unit}" for unit, names in entering.items()]
    lines += [f"  {unit} --> out_{unit}>{'<br/>'.join(names)}]" for unit, names in leaving.items()]
    return "\n".join(lines) + "\n"


def _boxes(diagram: Diagram) -> Iterator[str]:
    for unit in Unit:
        stages = " · ".join(stage.name for stage in diagram.stages if stage.unit is unit)
        tables = "".join(f"<br/>table {name}" for owner, name in diagram.tables() if owner is unit)
        yield f'  {unit}["<b>{unit}</b><br/>{stages}{tables}"]'


def _between(diagram: Diagram) -> Iterator[str]:
    """Yield an arrow per pair of units, which names the topics between them; a dotted one for views."""
    passing: defaultdict[tuple[Unit, str, Unit], list[str]] = defaultdict(list)
    for topic in diagram.connected():
        if _leaves(diagram, topic) or topic is diagram.topics.effects:  # the memory of stages, not a way between them
            continue
        for writer in _units(diagram.writers(topic)):
            for reader in _units(diagram.readers(topic)):
                passing[writer, '-- "{}" -->', reader].append(topic.name)
            for viewer in _units(diagram.viewers(topic)):
                passing[writer, '-. "{}" .->', viewer].append(topic.name)
    for (writer, arrow, reader), names in passing.items():
        if writer is not reader:
            yield f"  {writer} {arrow.format('<br/>'.join(names))} {reader}"


def _units(stages: Sequence[StageNode]) -> list[Unit]:
    return list(dict.fromkeys(stage.unit for stage in stages))


def _enters(topic: Topic[Any]) -> bool:
    return topic.owner in {PRODUCERS, OPERATORS}


def _leaves(diagram: Diagram, topic: Topic[Any]) -> bool:
    inside = diagram.readers(topic) or diagram.viewers(topic)
    return topic is diagram.topics.results or (topic.owner != ENGINE and not inside)
