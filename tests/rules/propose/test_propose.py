"""Which facts are proposed: those that are said, once, in order, with what they were said with."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agents.propose import rules
from schemas.records import Analysis, Entity, Proposal
from streams.errors import RecordInvalid
from streams.settings import ProposeSettings
from tests.given import an_origin

TEXT = "Mary Shelley wrote Frankenstein. The monster read Plutarch."
SETTINGS = ProposeSettings(most_facts=20)


def a_proposal(text: str = TEXT) -> Proposal:
    return Proposal(
        origin=an_origin(), proposal_id="p1", raw_text=text, confidence=0.8, metadata={"cell": "literary/analysis"}
    )


def an_analysis(*entities: tuple[str, str], relations: tuple[tuple[str, str, str], ...] = ()) -> Analysis:
    found = [
        {"subject": subject, "relation": verb, "object": thing, "sentence": f"{subject} {verb}s {thing}."}
        for subject, verb, thing in relations
    ]
    return Analysis(
        origin=an_origin(),
        language="en",
        sentences=(),
        tokens=(),
        entities=tuple(Entity(text=text, label=label, start=0, end=len(text)) for text, label in entities),
        model="en_core_web_sm",
        findings=(json.dumps({"operation": "relations", "relations": found}),),
    )


def facts(analysis: Analysis, most: int = 20) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    nodes, edges = rules.facts(analysis, most)
    return [json.loads(node) for node in nodes], [json.loads(edge) for edge in edges]


def test_names_become_nodes_and_what_is_said_of_them_edges() -> None:
    nodes, edges = facts(
        an_analysis(
            ("Mary Shelley", "PERSON"),
            ("Frankenstein", "WORK_OF_ART"),
            ("the  Alps", "LOC"),
            relations=(("Mary Shelley", "write", "Frankenstein"), ("the monster", "cross", "Alps")),
        )
    )

    assert [(node["name"], node["type"], node["mentions"]) for node in nodes] == [
        ("Mary Shelley", "PERSON", 1),
        ("Frankenstein", "WORK_OF_ART", 1),
        ("Alps", "LOC", 1),
        ("monster", "CONCEPT", 1),
    ]
    by_id = {node["id"]: node["name"] for node in nodes}
    assert [(by_id[edge["source"]], edge["relation"], by_id[edge["target"]]) for edge in edges] == [
        ("Mary Shelley", "write", "Frankenstein"),
        ("monster", "cross", "Alps"),
    ]
    assert edges[0]["evidence"] == "Mary Shelley writes Frankenstein."
    assert all("confidence" not in fact for fact in (*nodes, *edges))


def test_a_name_said_twice_is_one_node_and_a_fact_said_twice_one_edge() -> None:
    nodes, edges = facts(
        an_analysis(
            ("Mary Shelley", "PERSON"),
            ("MARY SHELLEY", "PERSON"),
            relations=(("Mary Shelley", "write", "books"), ("Mary Shelley", "write", "books")),
        )
    )

    assert [(node["name"], node["mentions"]) for node in nodes] == [("Mary Shelley", 2), ("books", 2)]
    assert len(edges) == 1


def test_quantities_are_no_things_and_nothing_relates_to_itself() -> None:
    nodes, edges = facts(
        an_analysis(
            ("42", "CARDINAL"),
            ("two litres", "QUANTITY"),
            ("1816", "DATE"),
            relations=(("life", "be", "Life"), ("", "be", "x"), ("y" * 300, "be", "z")),
        )
    )

    assert ([node["name"] for node in nodes], edges) == (["1816"], [])


def test_the_same_text_gives_the_same_facts_and_ids() -> None:
    analysis = an_analysis(("Mary", "PERSON"), relations=(("Mary", "write", "books"),))

    assert rules.facts(analysis, 20) == rules.facts(analysis, 20)


def test_facts_are_bounded_and_no_edge_lacks_its_nodes() -> None:
    nodes, edges = facts(
        an_analysis(
            *((f"Name {at}", "PERSON") for at in range(100)),
            relations=tuple((f"a{at}", "know", f"b{at}") for at in range(100)),
        ),
        most=10,
    )

    assert (len(nodes), len(edges)) == (30, 10)
    ids = {node["id"] for node in nodes}
    assert all({edge["source"], edge["target"]} <= ids for edge in edges)


def test_a_proposal_carries_vector_confidence_and_where_it_all_comes_from() -> None:
    proposal = replace(a_proposal(), source="answer", model="smollm2", provider="llamacpp")

    made = rules.sophia_proposal(proposal, an_analysis(("Mary", "PERSON")), "minilm", (0.6, 0.8), SETTINGS)

    assert (made.confidence, made.llm_provider, made.model) == (0.8, "llamacpp", "smollm2")
    assert (made.embedding_model, made.vector, len(made.embedding_id)) == ("minilm", (0.6, 0.8), 32)
    assert made.metadata == {"cell": "literary/analysis"}
    assert made.provenance == (
        "source=answer",
        "request_id=request-1",
        "source_service=tests",
        "tenant=default",
        "facts_by=en_core_web_sm",
        "language=en",
        "confidence_by=evaluation",
    )
    assert made.generated_at == proposal.origin.event_time


def test_facts_of_the_producer_are_left_as_they_are() -> None:
    proposal = replace(a_proposal(), nodes=('{"name": "Mary"}',), edges=())

    made = rules.sophia_proposal(proposal, None, "minilm", (1.0,), SETTINGS)

    assert (made.nodes, made.edges) == (('{"name": "Mary"}',), ())
    assert {"facts_by=producer", "confidence_by=producer"} <= set(made.provenance)


@pytest.mark.parametrize(
    ("proposal", "problem"),
    [
        (a_proposal(" "), "raw_text is empty"),
        (a_proposal("x" * 20_001), "raw_text has 20,001 characters"),
        (replace(a_proposal(), confidence=1.5), "confidence must be 0 to 1"),
        (replace(a_proposal(), confidence=float("nan")), "confidence must be 0 to 1"),
        (replace(a_proposal(), origin=replace(an_origin(), tenant="a#b")), "tenant must be 1 to 128"),
        (replace(a_proposal(), proposal_id=""), "proposal_id must have 1 to 256"),
        (replace(a_proposal(), nodes=("{}", "[]", "nonsense")), "nodes must be JSON objects; not so: 1, 2"),
        (replace(a_proposal(), edges=("[" * 100_000,)), "edges must be JSON objects"),
        (replace(a_proposal(), nodes=("{}",) * 21), "there are 21 nodes, more than 20"),
    ],
)
def test_what_cannot_be_proposed_is_refused_with_what_is_wrong(proposal: Proposal, problem: str) -> None:
    with pytest.raises(RecordInvalid, match=problem):
        rules.check(proposal, SETTINGS)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(RecordInvalid) as raised:
        rules.check(replace(a_proposal(), raw_text="", proposal_id="", confidence=-1.0), SETTINGS)

    assert raised.value.message.count(";") == 2
