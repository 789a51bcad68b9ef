"""Who is asked next, when, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.route import chain
from schemas.records import CircuitState
from streams.errors import ContentRefused, ContextOverflow, PipelineError, ProviderRefused, ProviderUnavailable
from streams.pace import letter
from streams.ports import TIERS, ModelSpec
from streams.settings import RouteSettings
from tests.fakes.model import a_spec
from tests.given import NOON

SETTINGS = RouteSettings(tries=3, retry_pause_s=0.1, retry_wait_s=2.0, reserve_s=15.0, hedge_latest_s=10.0)
DOWN = ProviderUnavailable("reset")
SMALL, SAME, LARGE = (a_spec(name, context_tokens=size) for name, size in (("s", 10), ("t", 10), ("l", 20)))


def pause(
    error: PipelineError, *, tries: int = 1, spent_s: float = 0.0, left_s: float = 60.0, others: bool = True
) -> float | None:
    return chain.pause_s(error, tries, spent_s=spent_s, left_s=left_s, others=others, chance=1.0, settings=SETTINGS)


def wish(seconds: float) -> ProviderUnavailable:
    return ProviderUnavailable("429", retry_after_s=seconds)


@pytest.mark.parametrize(
    ("error", "given", "pause_s"),
    [
        (DOWN, {}, 0.1),
        (DOWN, {"tries": 2}, 0.2),
        (DOWN, {"tries": 3}, None),
        (DOWN, {"spent_s": 1.95}, None),
        (DOWN, {"spent_s": 9.0, "others": False}, 0.1),
        (DOWN, {"left_s": 0.1, "others": False}, None),
        (ProviderRefused("key"), {"others": False}, None),
        (wish(1.5), {}, 1.5),
        (wish(1.5), {"spent_s": 1.0}, None),
        (wish(30.0), {}, None),
        (wish(30.0), {"others": False}, 30.0),
        (wish(60.0), {"others": False}, None),
        (wish(-3.0), {}, 0.0),
    ],
)
def test_a_model_is_asked_again_when_it_is_worth_the_wait(
    error: PipelineError, given: dict[str, float], pause_s: float | None
) -> None:
    assert pause(error, **given) == pytest.approx(pause_s)  # type: ignore[arg-type]


@given(st.floats(0, 1e6), st.integers(1, 9), st.floats(0, 100), st.floats(-5, 100), st.booleans())
def test_a_wish_is_never_cut_short_and_no_wait_is_longer_than_what_is_left(
    wished: float, tries: int, spent_s: float, left_s: float, others: bool
) -> None:
    found = pause(wish(wished), tries=tries, spent_s=spent_s, left_s=left_s, others=others)

    assert found is None or wished <= found < left_s


@pytest.mark.parametrize(
    ("left_s", "others", "patience_s"),
    [(60, True, 45), (20, True, 10), (1, True, 0.5), (60, False, 59.98), (0.01, False, 0), (-1, True, 0)],
)
def test_a_model_may_take_what_is_left_but_for_a_reserve_while_another_can_be_asked(
    left_s: float, others: bool, patience_s: float
) -> None:
    assert chain.patience_s(left_s, others=others, settings=SETTINGS) == pytest.approx(patience_s)


@given(st.floats(0.05, 100), st.integers(1, 8))
def test_however_many_models_hang_each_gets_a_turn_before_the_deadline(left_s: float, models: int) -> None:
    begun = 0
    for number in range(models):
        if chain.too_late(left_s):
            break
        patience_s = chain.patience_s(left_s, others=number < models - 1, settings=SETTINGS)
        assert 0 <= patience_s < left_s
        left_s -= patience_s
        begun += 1

    assert begun == models or left_s <= 2 * chain.MARGIN_S


def after(left: tuple[ModelSpec, ...], error: PipelineError, **given: object) -> list[str]:
    chains = {"overflow": (), "refusal": None, "asked": {SMALL.name}, **given}
    return [spec.name for spec in chain.after(left, SMALL, error, **chains)]  # type: ignore[arg-type]


def test_after_an_overflow_only_larger_windows_are_asked_those_of_the_setting_first() -> None:
    huge = a_spec("h", context_tokens=30)

    assert after((SAME, LARGE), ContextOverflow("long")) == ["l"]
    assert after((SAME, LARGE), ContextOverflow("long"), overflow=(huge, SAME)) == ["h", "l"]
    assert after((SAME, LARGE), ContextOverflow("long"), overflow=(huge,), asked={"s", "h"}) == ["l"]
    assert after((SAME,), ContextOverflow("long")) == []


def test_after_a_refusal_the_chain_of_the_setting_is_asked_and_nobody_twice() -> None:
    assert after((SAME, LARGE), ContentRefused("policy")) == ["t", "l"]
    assert after((SAME,), ContentRefused("policy"), refusal=(LARGE, SMALL)) == ["l"]
    assert after((SAME,), ContentRefused("policy"), refusal=()) == []
    assert after((SAME, LARGE), DOWN, refusal=()) == ["t", "l"]


def test_models_of_a_setting_are_known_by_all_their_names() -> None:
    specs = (
        a_spec("claude"),
        ModelSpec(name="ollama:qwen", provider="ollama", id="qwen", context_tokens=10),
        ModelSpec(name="tiny", provider="llamacpp", context_tokens=10),
    )

    found = chain.named("llamacpp:/models/tiny.gguf, ollama:qwen,first-provider:none,claude,claude,gone", specs)

    assert [spec.name for spec in found] == ["tiny", "ollama:qwen", "claude"]
    assert chain.on_refusal("", specs) is None
    assert chain.on_refusal(" none ", specs) == ()


def spec_of(name: str, tier: str, provider: str | None = None) -> ModelSpec:
    return ModelSpec(name=name, provider=provider or name, context_tokens=10, tier=tier)


@pytest.mark.parametrize(
    ("left", "hedge"),
    [
        ([spec_of("b", "standard")], "b"),
        ([spec_of("b", "premium")], "b"),
        ([spec_of("b", "economy")], None),
        ([spec_of("b", "local")], None),
        ([spec_of("b", "premium", "a"), spec_of("c", "standard")], "c"),
        ([spec_of("b", "of-a-plugin")], "b"),
        ([], None),
    ],
)
def test_a_hedge_is_of_another_provider_and_at_least_as_good(left: list[ModelSpec], hedge: str | None) -> None:
    found = chain.hedge(spec_of("a", "standard"), left)

    assert (found.name if found else None) == hedge


@pytest.mark.parametrize("tier", TIERS)
def test_a_model_of_this_machine_is_not_hedged(tier: str) -> None:
    assert chain.hedge(spec_of("a", "local"), [spec_of("b", tier)]) is None


def test_a_silence_is_too_long_after_the_p95_of_the_cluster_at_most_ten_seconds() -> None:
    def after_s(*paces_ms: float) -> float:
        paces = "".join(letter(ms) for ms in paces_ms)
        return chain.hedge_after_s(CircuitState(dependency="a", as_of=NOON, counted={}, paces=paces), SETTINGS)

    assert chain.hedge_after_s(None, SETTINGS) == 10.0
    assert after_s(*[100.0] * 9) == 10.0, "too few to know"
    assert 0.1 <= after_s(*[100.0] * 50) <= 0.12
    assert after_s(*[100.0] * 40, *[60_000.0] * 10) == 10.0
    assert 0.3 <= after_s(*[100.0] * 90, *[300.0] * 10) <= 0.36
