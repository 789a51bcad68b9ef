"""Which model answers a prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.route import rules
from schemas.records import CircuitState, Domain, Duel, ModelStanding, Phase, Prompt, Ranking, Strategy
from streams.circuit import Gate, Passes
from streams.ports import ModelSpec
from streams.settings import RouteSettings
from tests.fakes.model import a_spec
from tests.given import NOON, a_chunk, a_prompt, a_request, an_origin

NO_EXPLORING = RouteSettings(explore_share=0.0)
SPECS = (a_spec("first", usd=5.0), a_spec("second", usd=1.0), a_spec("third", usd=3.0))


def prompt(request_id: str = "request-1", *, strategy: Strategy | None = None, model: str | None = None) -> Prompt:
    return a_prompt(request=a_request(origin=an_origin(request_id), strategy=strategy, model=model))


def standing(model: str, score: float, latency_ms: float = 100.0) -> ModelStanding:
    return ModelStanding(
        model=model, score=score, samples=9, recent=(), peak=score, low=score, latency_ms=latency_ms, as_of=NOON
    )


def ranking(*standings: ModelStanding, champion: str | None = None) -> Ranking:
    return Ranking(cell="literary/analysis", champion=champion, standings=standings, counted={})


def circuit(name: str, *, open_for_s: float | None = None, forced: Phase | None = None) -> CircuitState:
    until = NOON + timedelta(seconds=open_for_s) if open_for_s is not None else None
    return CircuitState(dependency=name, open_until=until, forced=forced, as_of=NOON, counted={})


def planned(
    asked: Prompt,
    known: Ranking | None = None,
    *circuits: CircuitState,
    specs: Sequence[ModelSpec] = SPECS,
    settings: RouteSettings = NO_EXPLORING,
) -> rules.Plan:
    gate = Gate({c.dependency: c for c in circuits}, partitions=1)
    passes = gate.look([spec.name for spec in specs], NOON, asked.origin.request_id)
    return rules.plan(asked, specs, known, passes, settings)


def names(plan: rules.Plan) -> list[str]:
    return [spec.name for spec in plan.chain]


def test_before_any_verdict_models_are_asked_in_the_order_of_the_settings() -> None:
    plan = planned(prompt())

    assert (names(plan), plan.reason, plan.propensity) == (["first", "second", "third"], "first_in_settings", 1.0)


def test_the_champion_of_the_cell_is_asked_first() -> None:
    plan = planned(prompt(), ranking(champion="third"))

    assert (names(plan), plan.reason) == (["third", "first", "second"], "champion")


def test_a_champion_that_is_not_in_the_settings_any_more_is_no_champion() -> None:
    assert names(planned(prompt(), ranking(champion="retired")))[0] == "first"


@pytest.mark.parametrize(
    ("strategy", "order", "reason"),
    [
        (Strategy.COST_OPTIMIZED, ["second", "third", "first"], "cheapest"),
        (Strategy.SPEED_OPTIMIZED, ["third", "second", "first"], "fastest"),
        (Strategy.QUALITY_OPTIMIZED, ["second", "third", "first"], "highest_score"),
        (Strategy.DOMAIN_OPTIMIZED, ["third", "first", "second"], "champion"),
    ],
)
def test_a_strategy_orders_the_models(strategy: Strategy, order: list[str], reason: str) -> None:
    known = ranking(standing("second", 0.9, 80.0), standing("third", 0.5, 20.0), champion="third")

    plan = planned(prompt(strategy=strategy), known)

    assert (names(plan), plan.reason, plan.strategy) == (order, reason, strategy)


@pytest.mark.parametrize("strategy", [Strategy.SPEED_OPTIMIZED, Strategy.QUALITY_OPTIMIZED])
def test_where_nothing_is_known_the_order_of_the_settings_decides(strategy: Strategy) -> None:
    assert planned(prompt(strategy=strategy)).reason == "first_in_settings"


def test_a_model_asked_for_by_name_is_asked_alone() -> None:
    plan = planned(prompt(model="second"), ranking(champion="third"))

    assert (names(plan), plan.reason) == (["second"], "asked_for")
    assert plan.rejected == {"first": "not_asked_for", "third": "not_asked_for"}


def test_a_model_nobody_knows_leaves_no_one_to_ask() -> None:
    plan = planned(prompt(model="gpt-9"))

    assert names(plan) == []
    assert plan.rejected["gpt-9"] == "unknown_model"


def test_models_that_cannot_take_the_prompt_are_left_out_and_say_why() -> None:
    specs = (a_spec("small", context_tokens=100), a_spec("trader", domains=(Domain.MARKET,)), a_spec("fits"))

    plan = planned(prompt(), specs=specs)

    assert names(plan) == ["fits"]
    assert plan.rejected == {"small": "context_too_small", "trader": "domain_not_supported"}


def test_an_open_circuit_is_left_out_and_what_would_have_been_first_is_known() -> None:
    plan = planned(prompt(), None, circuit("first", open_for_s=10), circuit("second", forced=Phase.FORCED_OPEN))

    assert (names(plan), plan.preferred) == (["third"], "first")
    assert plan.rejected == {"first": "circuit_open", "second": "circuit_forced_open"}


def test_a_disabled_breaker_lets_every_request_through() -> None:
    assert names(planned(prompt(), None, circuit("first", open_for_s=10, forced=Phase.DISABLED)))[0] == "first"


HALF_OPEN = circuit("first", open_for_s=-1)


def test_a_half_open_circuit_is_probed_by_the_request_whose_turn_it_is() -> None:
    plan = planned(prompt(), None, HALF_OPEN)

    assert (names(plan), plan.reason, plan.rejected) == (["first", "second", "third"], "first_in_settings", {})


def test_a_request_whose_turn_it_is_not_leaves_a_half_open_circuit_alone() -> None:
    passes = Passes(refused={"first": Phase.HALF_OPEN}, spare={"first"})

    plan = rules.plan(prompt(), SPECS, None, passes, NO_EXPLORING)

    assert (names(plan), plan.rejected) == (["second", "third"], {"first": "circuit_half_open"})


def test_a_model_that_would_only_be_asked_in_need_is_not_probed_meanwhile() -> None:
    """Its probe is left to a request that asks it first."""
    plan = planned(prompt(), ranking(champion="second"), HALF_OPEN)

    assert (names(plan), plan.rejected) == (["second", "third"], {"first": "circuit_half_open"})


def test_where_nobody_else_is_left_a_half_open_circuit_is_tried_out_of_turn() -> None:
    passes = Passes(refused={"first": Phase.HALF_OPEN, "second": Phase.OPEN}, spare={"first"})

    assert names(rules.plan(prompt(), SPECS[:2], None, passes, NO_EXPLORING)) == ["first"]


def test_exploring_leaves_open_circuits_out_and_says_the_propensity_of_who_is_first() -> None:
    settings = RouteSettings(explore_share=0.5)

    plans = [planned(prompt(f"r{n}"), None, circuit("second", open_for_s=9), settings=settings) for n in range(200)]

    assert {(names(plan)[0], plan.propensity) for plan in plans} == {("first", 0.5), ("third", 0.5)}
    assert {plan.preferred for plan in plans} == {"first", "third"}


def test_an_open_champion_is_replaced_by_one_of_the_others_with_a_propensity_of_its_own() -> None:
    settings = RouteSettings(explore_share=0.2)
    champion = circuit("first", open_for_s=9)

    plans = [planned(prompt(f"r{n}"), ranking(champion="first"), champion, settings=settings) for n in range(100)]

    assert {(names(plan)[0], plan.propensity) for plan in plans} == {("second", 0.8), ("third", 0.2)}


def test_a_decision_says_who_was_chosen_why_and_at_what_price() -> None:
    asked = prompt()
    plan = planned(asked, ranking(champion="third"), circuit("first", open_for_s=9))

    decision = rules.decided(asked, plan, NOON)

    assert (decision.chosen, decision.reasons, decision.chain) == ("third", ("champion",), ("third", "second"))
    assert decision.rejected == {"first": "circuit_open"}
    assert decision.estimates_usd == pytest.approx({"third": 450e-6, "second": 150e-6})


def test_a_decision_that_nobody_may_be_asked_is_recorded_too() -> None:
    asked = prompt(model="second")

    decision = rules.decided(asked, planned(asked, None, circuit("second", forced=Phase.FORCED_OPEN)), NOON)

    assert (decision.chosen, decision.chain) == (None, ())
    assert decision.rejected["second"] == "circuit_forced_open"


def test_a_share_of_requests_goes_to_challengers_with_its_propensity() -> None:
    settings = RouteSettings(explore_share=0.2)

    plans = [planned(prompt(f"r{n}"), ranking(champion="first"), settings=settings) for n in range(1000)]

    exploring = [plan for plan in plans if plan.reason == "exploration"]
    assert 150 <= len(exploring) <= 250
    assert {plan.propensity for plan in exploring} == {0.1}
    assert {plan.propensity for plan in plans if plan not in exploring} == {0.8}
    assert {names(plan)[0] for plan in exploring} == {"second", "third"}


def test_the_more_speaks_for_a_challenger_the_more_requests_it_gets() -> None:
    settings = RouteSettings(explore_share=0.1, explore_most=0.5)
    names = ["first", "second", "third"]

    def shares(strength: float) -> Mapping[str, float]:
        promising = replace(standing("second", 0.6), duel=Duel(strength=strength))
        return rules.shares(names, ranking(promising, standing("third", 0.5), champion="first"), settings)

    assert shares(0.1) == pytest.approx({"first": 0.9, "second": 0.05, "third": 0.05})
    assert shares(3.0) == pytest.approx({"first": 0.7, "second": 0.225, "third": 0.075})
    assert shares(99.0) == pytest.approx({"first": 0.5, "second": 0.495, "third": 0.005})
    assert rules.shares(names, None, settings) == pytest.approx(shares(1.0))
    assert rules.shares(["first"], None, settings) == {"first": 1.0}


def test_requests_explore_as_often_as_their_propensity_says() -> None:
    known = ranking(replace(standing("second", 0.6), duel=Duel(strength=4.0)), champion="first")
    settings = RouteSettings(explore_share=0.1)

    plans = [planned(prompt(f"r{n}"), known, settings=settings) for n in range(2000)]

    for name, propensity in {"first": 0.6, "second": 0.32, "third": 0.08}.items():
        found = [plan for plan in plans if plan.chain[0].name == name]
        assert {round(plan.propensity, 6) for plan in found} == {propensity}
        assert len(found) / len(plans) == pytest.approx(propensity, abs=0.04)


@pytest.mark.parametrize("strategy", [Strategy.COST_OPTIMIZED, Strategy.SPEED_OPTIMIZED])
def test_who_asks_for_a_price_or_a_pace_is_no_experiment(strategy: Strategy) -> None:
    settings = RouteSettings(explore_share=1.0)

    assert planned(prompt(strategy=strategy), settings=settings).reason != "exploration"
    assert planned(prompt(model="second"), settings=settings).reason == "asked_for"


@given(
    st.text(min_size=1, max_size=8),
    st.sampled_from([None, *Strategy]),
    st.sampled_from([None, "first", "second", "other"]),
    st.floats(0, 1),
    st.lists(st.sampled_from(["first", "second", "third"]), unique=True),
)
def test_every_model_is_in_the_chain_once_or_rejected_with_a_reason(
    request_id: str, strategy: Strategy | None, model: str | None, share: float, opened: list[str]
) -> None:
    asked = prompt(request_id, strategy=strategy, model=model)
    circuits = [circuit(name, open_for_s=5) for name in opened]

    plan = planned(asked, None, *circuits, settings=RouteSettings(explore_share=share))

    everybody = {spec.name for spec in SPECS} | ({model} if model else set())
    assert sorted([*names(plan), *plan.rejected]) == sorted(everybody)
    assert 0.0 <= plan.propensity <= 1.0
    assert not set(names(plan)) & set(opened)
    assert plan == planned(asked, None, *circuits, settings=RouteSettings(explore_share=share))


def test_only_kept_passages_reach_the_model() -> None:
    kept, dropped = a_chunk("Kept."), a_chunk("Dropped.", kept=False)

    assert rules.ask(a_prompt(kept, dropped)).chunks == (kept,)


def test_the_price_follows_from_the_tokens() -> None:
    assert rules.cost_usd(a_spec(usd=2.0), 500_000, 250_000) == 1.5
