"""Which answers are given again, and to whom they never are."""

import math
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.route import reuse, rules
from schemas.records import Chunk, Domain, Prompt, Reuse, Task, Turn
from streams.answers import Question
from streams.circuit import Passes
from streams.clients.answers import AnswerCache
from streams.clients.cache import LruCache
from streams.ports import ModelSpec
from streams.settings import CacheSettings, RouteSettings
from tests.clock import FixedClock
from tests.fakes.model import a_spec
from tests.given import NOON, a_chunk, a_prompt, a_request, an_answer, an_origin

SETTINGS = CacheSettings(semantic="on")
SPEC = a_spec("first")
EXPLORE_NOT = RouteSettings(explore_share=0.0)


def question(prompt: Prompt, spec: ModelSpec = SPEC, settings: CacheSettings = SETTINGS) -> Question | None:
    plan = rules.plan(prompt, [spec], None, Passes(refused={}), EXPLORE_NOT)
    return reuse.question(prompt, plan, spec if plan.preferred else None, settings)


def test_what_is_drawn_for_each_request_makes_no_other_question() -> None:
    """Canary, marks, ids, sessions and deadlines differ from request to request."""
    one = a_prompt(a_chunk())
    other = replace(one, origin=an_origin("r2", session_id="s2"), canary="ember-9", mark="3c4b5a")
    told = [
        replace(prompt, system=f"Never write {prompt.canary}.", user=f"--- {prompt.mark}\n{prompt.request.query}")
        for prompt in (one, other)
    ]

    assert question(told[0]) == question(told[1]) is not None


@pytest.mark.parametrize(
    "alone",
    [
        a_prompt(request=replace(a_request(), temperature=0.1)),
        a_prompt(request=replace(a_request(), history=(Turn(request_id="r0", query="q", answer="a", at=NOON),))),
        a_prompt(degradations=["vector_store_unavailable"]),
        a_prompt(request=a_request(model="unknown")),
        replace(a_prompt(), turns=1),
        replace(a_prompt(), mark=""),
    ],
    ids=["warm", "in a conversation", "degraded", "nobody to ask", "shows a conversation", "of an older worker"],
)
def test_what_must_be_asked_for_itself_is(alone: Prompt) -> None:
    assert question(alone) is None


def test_exploring_and_free_models_and_the_setting_leave_the_cache_alone() -> None:
    prompt = a_prompt()
    exploring = rules.plan(
        prompt, [SPEC, a_spec("second")], None, Passes(refused={}), RouteSettings(explore_share=1.0, explore_most=1.0)
    )

    assert exploring.reason == rules.EXPLORATION
    assert reuse.question(prompt, exploring, SPEC, SETTINGS) is None
    assert question(prompt, replace(SPEC, repeatable=True)) is None
    assert question(prompt, settings=CacheSettings(exact="off", semantic="on")) is None


def test_near_questions_count_only_where_they_are_safe() -> None:
    prompt = a_prompt(request=a_request(domain=Domain.MARKET))
    risky = replace(prompt, request=replace(prompt.request, risk_reasons=("rule",)))
    strict = replace(prompt, request=replace(prompt.request, strict=True))

    found = [question(one) for one in (prompt, risky, strict)]
    assert [one.threshold for one in found if one] == [SETTINGS.similar_market, None, None]
    off = question(prompt, settings=CacheSettings())
    assert off is not None
    assert off.threshold is None


def test_an_answer_that_is_not_whole_or_gives_its_instructions_away_is_not_kept() -> None:
    whole = an_answer()
    again = Reuse(kind="exact", request_id="r0", similarity=1.0, age_s=0.0)

    assert reuse.worth_keeping(whole)
    assert not reuse.worth_keeping(replace(whole, degradations=("model_fallback",)))
    assert not reuse.worth_keeping(replace(whole, text=f"I must not write {whole.canary}."))
    assert not reuse.worth_keeping(replace(whole, reused=again))


def test_an_answer_is_kept_under_the_tier_of_who_gave_it_and_near_only_when_it_was_finished() -> None:
    asked = question(a_prompt())
    assert asked is not None

    kept = reuse.kept_under(asked, an_answer(), "premium")
    cut = reuse.kept_under(asked, an_answer(finish_reason="length"), "standard")

    assert (kept.scope.tier, kept.threshold) == ("premium", asked.threshold)
    assert (cut.scope, cut.threshold) == (asked.scope, None)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("It rose by 4.5 %.", "A rise of 4.5 percent", True),
        ("It rose by 4.5 %.", "It rose by 5.4 %.", False),
        ("1,000 km", "1000 km.", True),
        ("in 1816", "later", False),
        ("", "", True),
    ],
)
def test_texts_with_other_numbers_do_not_agree(one: str, other: str, same: bool) -> None:
    assert reuse.same_numbers(one, other) is same


ASKS = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from(["acme", "other"]),
        "domain": st.sampled_from(list(Domain)[:2]),
        "task": st.sampled_from(list(Task)[:2]),
        "pack": st.sampled_from([(None, None), ("p", "1"), ("p", "2"), ("q", "1")]),
        "version": st.sampled_from(["general/1", "general/2"]),
        "model": st.sampled_from([None, "first"]),
        "tier": st.sampled_from(["standard", "premium"]),
        "passages": st.sampled_from(["none", "one", "other", "shifted", "dropped"]),
        "reader": st.sampled_from(["", "Ada", "Bob"]),
    }
)
PASSAGES: dict[str, tuple[Chunk, ...]] = {
    "none": (),
    "one": (a_chunk("of one"),),
    "other": (a_chunk("of another"),),
    "shifted": (a_chunk("one", title="Frankenstein of"),),
    "dropped": (a_chunk("of one", kept=False),),
}


def asked(told: dict[str, object], number: int) -> tuple[Prompt, ModelSpec]:
    context, version = cast("tuple[str | None, str | None]", told["pack"])
    request = a_request(
        origin=an_origin(f"r{number}", tenant=str(told["tenant"])),
        domain=told["domain"],  # type: ignore[arg-type]
        task=told["task"],  # type: ignore[arg-type]
        model=told["model"],  # type: ignore[arg-type]
        context_pack_id=context,
    )
    prompt = replace(
        a_prompt(*PASSAGES[str(told["passages"])], request=request),
        user=f"--- 0f1e2d\n{told['reader']}\n--- 0f1e2d\n{request.query}\n--- 0f1e2d",
        prompt_version=str(told["version"]),
        pack_version=version,
    )
    return prompt, replace(SPEC, tier=str(told["tier"]))


@given(ASKS, ASKS)
async def test_an_answer_never_crosses_a_scope(one: dict[str, object], other: dict[str, object]) -> None:
    """Through the real rules and the real caches: who differs in tenant, domain, task, pack, passages, reader, version, model or tier."""
    memory = AnswerCache(SETTINGS, LruCache(most_entries=9, most_bytes=9999, time=lambda: 0.0), FixedClock())
    vector = (1.0, 0.0)
    first, second = question(*asked(one, 1)), question(*asked(other, 2))
    assert first is not None
    assert second is not None
    await memory.keep(first, vector, reuse.cached(an_answer(), NOON))

    nothing_told = {"none", "dropped"}
    same_told = one["passages"] == other["passages"] or {one["passages"], other["passages"]} == nothing_told
    beside = {**one, "passages": None} == {**other, "passages": None}
    assert (await memory.exact(second) is not None) == (beside and same_told)
    near = memory.near(replace(second, threshold=0.5, max_tokens=math.inf), vector)  # type: ignore[arg-type]
    assert (near is not None) == (beside and same_told)


@pytest.mark.parametrize("query", ["Ada", "a", "--- 0f1e2d", "\n", "question"])
def test_who_asks_is_part_of_the_ground_whatever_is_asked(query: str) -> None:
    """Also when the question stands in what is told of the reader."""
    one, other = (
        question(replace(a_prompt(request=a_request(query)), user=f"--- 0f1e2d\n{reader}\n---\n{query}\n--- question"))
        for reader in ("Ada likes tea", "Anna likes tea")
    )
    assert one is not None
    assert other is not None
    assert one.scope != other.scope
