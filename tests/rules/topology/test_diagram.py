import pkgutil
import re
from typing import TYPE_CHECKING, Any

import pytest

import agents
from streams.settings import KafkaSettings, Settings
from topology.diagram import as_json, drawn, kept, mermaid, stage_rows, topic_rows
from topology.overview import overview
from topology.topics import PRODUCERS
from topology.units import Unit

if TYPE_CHECKING:
    from streams.topic import Topic

GRAPH = drawn(Settings())


def test_every_agent_is_in_the_graph_once() -> None:
    """A stage that is written but not connected, or connected twice, is a mistake."""
    written = {module.name for module in pkgutil.iter_modules(agents.__path__)}

    assert sorted(stage.name for stage in GRAPH.stages) == sorted(written)


def test_stages_are_drawn_in_the_order_a_question_takes() -> None:
    way: list[str] = []
    at: Topic[Any] = GRAPH.topics.texts
    while at is not GRAPH.topics.results:
        stage = next(reader for reader in GRAPH.readers(at) if reader.writes)
        way.append(stage.name)
        at = stage.writes[0]

    assert way == ["admit", "embed", "retrieve", "compose", "route", "evaluate", "publish"]


def test_a_table_is_owned_by_one_stage_and_its_sources_have_its_partitions() -> None:
    tables = list(GRAPH.tables())

    assert sorted(name for _, name in tables) == ["champions", "circuits", "sessions", "turns"]
    for stage in GRAPH.stages:
        if stage.tables:
            assert {topic.partitions for topic in stage.reads} == {Settings().kafka.partitions}


def test_no_two_stages_of_a_unit_read_the_same_topic() -> None:
    """The engine hands a topic of a consumer group to one stage."""
    for unit in Unit:
        read = [topic.name for stage in GRAPH.stages if stage.unit is unit for topic in stage.reads]
        assert len(read) == len(set(read))


def test_every_topic_that_is_read_is_written_by_a_stage_or_from_outside() -> None:
    for stage in GRAPH.stages:
        for topic in stage.reads:
            assert GRAPH.writers(topic) or topic.owner in {PRODUCERS, "operators"}, topic.name


def test_the_owner_of_a_connected_topic_is_a_stage_that_writes_it_or_the_producers() -> None:
    for topic in GRAPH.connected():
        writers = {stage.name for stage in GRAPH.writers(topic)}
        assert not writers or topic.owner in writers | {PRODUCERS}, topic.name


def test_views_are_seen_by_the_stages_that_use_them() -> None:
    assert {stage.name for stage in GRAPH.viewers(GRAPH.topics.standings)} == {"route"}
    assert "route" in {stage.name for stage in GRAPH.viewers(GRAPH.topics.circuit_states)}


def test_mermaid_names_only_nodes_it_has_declared_and_is_the_same_every_time() -> None:
    text = mermaid()

    declared = set(re.findall(r"^\s*(\w+)[\[{(]", text, re.MULTILINE))
    used = set(re.findall(r"^\s*(\w+) (?:--|-\.|===)", text, re.MULTILINE)) | set(
        re.findall(r"(\w+)$", text, re.MULTILINE)
    )
    assert text.startswith("flowchart LR\n")
    assert used - {"end", "LR"} <= declared
    assert mermaid() == text


def test_the_overview_shows_what_goes_in_what_comes_out_and_what_passes_between_units() -> None:
    text = overview()

    assert re.search(r"in_intake>texts<br/>.*\] --> intake$", text, re.MULTILINE)
    assert re.search(r"inference --> out_inference>.*<br/>results\]$", text, re.MULTILINE)
    assert re.search(r'intake -- "requests.*" --> inference$', text, re.MULTILINE)
    assert re.search(r'learning -\. "standings" \.-> inference$', text, re.MULTILINE)
    assert {stage.name for stage in GRAPH.stages} <= set(re.findall(r"\w+", text))


def test_mermaid_survives_a_prefix_with_dots_and_dashes() -> None:
    text = mermaid(Settings(kafka=KafkaSettings(topic_prefix="team.a-")))

    assert "topic_team_a_texts[(team.a-texts)]" in text


def test_json_holds_what_a_stranger_needs_to_know() -> None:
    shown = as_json(drawn(Settings(kafka=KafkaSettings(topic_prefix="x-", partitions=8))))

    texts = next(topic for topic in shown["topics"] if topic["name"] == "x-texts")
    assert texts["record"] == "TextQuery"
    assert texts["key"] == "tenant#session_id or tenant#request_id"
    assert (texts["partitions"], texts["retention_s"], texts["owner"]) == (8, 7 * 86400, "producers")
    assert texts["readers"] == ["admit"]
    assert shown["units"][0] == {"name": "intake", "group": "x-forgestream-intake", "stages": ["remember", "admit"]}


def test_tables_of_text_have_a_row_per_stage_and_topic() -> None:
    assert [row[1] for row in stage_rows(GRAPH)] == [stage.name for stage in GRAPH.stages]
    assert [row[0] for row in topic_rows(GRAPH)] == [topic.name for topic in GRAPH.topics]


@pytest.mark.parametrize(("field", "said"), [("texts", "7 days"), ("tokens", "1 day"), ("standings", "newest per key")])
def test_retention_is_said_in_words(field: str, said: str) -> None:
    assert kept(getattr(GRAPH.topics, field)) == said
