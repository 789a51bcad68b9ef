from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.records import Strategy
from streams.errors import StartRefused
from streams.settings import RouteSettings, Settings
from tests.given import NOON, a_context, a_prompt, a_request, a_text_query, an_embedding
from topology.replay.order import (
    AS_CONFIGURED,
    ENTRIES,
    Knowledge,
    Order,
    Seed,
    Variant,
    cell_of,
    checked_name,
    ordered,
    query_of,
)
from topology.units import Unit

HOUR = timedelta(hours=1)
RECORDS = (a_text_query(), a_request(), an_embedding(), a_context(), a_prompt())


def an_order(**changes: Any) -> Order:  # noqa: ANN401 - any of the arguments
    values: dict[str, Any] = {
        "topic": "texts",
        "start": NOON,
        "end": NOON + HOUR,
        "models": [],
        "strategies": [],
        "evaluator": None,
        "prompt_version": None,
        "sample": 1.0,
        "seed": Seed.EMPTY,
        "knowledge": Knowledge.TOPIC,
    }
    return ordered(**(values | changes))


def test_models_and_strategies_are_variants_and_without_any_the_settings_are_one() -> None:
    both = an_order(models=["a", "b"], strategies=[Strategy.COST_OPTIMIZED])

    assert [(one.model, one.strategy) for one in both.variants] == [
        ("a", None),
        ("b", None),
        (None, Strategy.COST_OPTIMIZED),
    ]
    assert [one.name for one in an_order().variants] == [AS_CONFIGURED]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_kind_of_record_is_asked_of_the_model_alone_and_is_the_same_otherwise(record: Any) -> None:  # noqa: ANN401 - any of ENTRIES
    """A model that was asked for by name then is no longer; who asked, and what, stays."""
    asked = Variant(name="x", model="x").asked(record, "r1")
    inner = getattr(asked, "request", asked)

    assert type(record) in ENTRIES.values()
    assert (inner.model, inner.origin.replay_id, asked.origin.replay_id) == (None, "r1", "r1")
    assert replace(asked.origin, replay_id=None) == record.origin
    assert (query_of(asked), cell_of(asked)) == (query_of(record), cell_of(record))


def test_a_strategy_is_asked_for_and_a_pinned_model_stays() -> None:
    pinned = replace(a_text_query(), model="extractive", strategy="speed_optimized")

    asked = Variant(name="s", strategy=Strategy.COST_OPTIMIZED).asked(pinned, "r1")
    as_it_was = Variant(name=AS_CONFIGURED).asked(pinned, "r1")

    assert (asked.model, asked.strategy) == ("extractive", "cost_optimized")
    assert (as_it_was.model, as_it_was.strategy) == ("extractive", "speed_optimized")


def test_a_model_answers_alone_so_that_no_other_answers_in_its_name() -> None:
    settings = Settings(route=RouteSettings(models="a,b"))

    assert Variant(name="b", model="b").settings(settings).route.models == "b"
    assert Variant(name="s", strategy=Strategy.COST_OPTIMIZED).settings(settings) == settings


def test_the_same_order_has_the_same_digest_and_any_change_of_it_another() -> None:
    settings = Settings()
    digest = an_order(models=["a"]).digest(settings)
    others = (
        an_order(models=["b"]).digest(settings),
        an_order(models=["a"], sample=0.5).digest(settings),
        an_order(models=["a"], end=NOON + 2 * HOUR).digest(settings),
        an_order(models=["a"]).digest(replace(settings, route=RouteSettings(explore_share=0.5))),
    )

    assert an_order(models=["a"]).digest(Settings()) == digest
    assert digest not in others
    assert len(set(others)) == len(others)


def test_a_sample_takes_whole_conversations_and_the_same_ones_every_time() -> None:
    tenth = an_order(sample=0.1)
    taken = {f"session-{number}" for number in range(5000) if tenth.takes(f"session-{number}")}

    assert 400 < len(taken) < 600
    assert all(tenth.takes(key) for key in taken)
    assert taken <= {f"session-{number}" for number in range(5000) if an_order(sample=0.2).takes(f"session-{number}")}


def test_only_the_units_that_have_work_run() -> None:
    assert an_order().units() == (Unit.INTAKE, Unit.INFERENCE, Unit.DELIVERY)
    assert an_order(knowledge=Knowledge.STORE).units() == (Unit.INTAKE, Unit.INFERENCE)
    assert an_order(topic="prompts").units() == (Unit.INFERENCE,)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"topic": "results"}, ["'results'", "texts, requests, embeddings, contexts, prompts"]),
        ({"end": NOON}, ["is not before"]),
        ({"sample": 0.0}, ["--sample"]),
        ({"sample": 1.5}, ["--sample"]),
        ({"sample": float("nan")}, ["--sample"]),
        ({"models": ["a", "a"]}, ["'a' is there twice"]),
        ({"evaluator": "judge/9"}, ["rules/2", "'judge/9'"]),
        ({"prompt_version": "literary/9"}, ["literary/1", "'literary/9'"]),
        ({"topic": "x", "sample": -1.0}, ["'x'", "--sample"]),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_every_problem(changes: dict[str, Any], said: Sequence[str]) -> None:
    with pytest.raises(StartRefused) as refused:
        an_order(**changes)

    assert all(words in refused.value.message for words in said)


@pytest.mark.parametrize("name", ["", "a-1", "A", "x" * 33, "ä", "a/b", ".."])
def test_a_name_that_topics_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(StartRefused, match="cannot be called"):
        checked_name(name, "d" * 12)


def test_a_replay_without_a_name_is_called_after_its_order() -> None:
    assert checked_name(None, "0123456789ab") == "01234567"
    assert checked_name("last_week", "0123456789ab") == "last_week"
