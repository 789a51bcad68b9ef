"""Which model answers a prompt, and what its answer is recorded with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agents.route import chain
from schemas.records import Answer, Decision, Phase, Prompt, Ranking, Request, RouteDecision, Strategy
from streams import cells
from streams.circuit import Passes
from streams.lots import lot
from streams.ports import Ask, Finish, ModelSpec
from streams.settings import RouteSettings

FALLBACK = "model_fallback"
EXPLORING = frozenset({Strategy.DOMAIN_OPTIMIZED, Strategy.QUALITY_OPTIMIZED})  # the others name a price or a pace
EXPLORATION = "exploration"
TOO_SMALL = "context_too_small"
_USD_PER = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The models to ask, in order, and why."""

    strategy: Strategy
    cell: str
    chain: tuple[ModelSpec, ...]
    preferred: str | None  # who would be first if every circuit were closed; any other answer is a fallback
    reason: str  # why the first of the chain is first
    rejected: Mapping[str, str]
    propensity: float  # of the first of the chain being the first
    estimate_usd: Mapping[str, float]  # of each of the chain, should it write all it may
    on_overflow: tuple[ModelSpec, ...] = ()  # who is asked first when the prompt is longer than a model's window
    on_refusal: tuple[ModelSpec, ...] | None = None  # who is asked when a model refuses; None: the rest of the chain

    @property
    def everybody(self) -> tuple[ModelSpec, ...]:
        """Every model that may be asked, once."""
        return tuple(dict.fromkeys((*self.chain, *self.on_overflow, *(self.on_refusal or ()))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the model that answered said, and which models failed before it.

    `instead_of` is the model that kept silent for too long, when this one was its hedge.
    """

    spec: ModelSpec
    text: str
    finish: Finish
    latency_ms: float
    ttft_ms: float
    failed: Mapping[str, str] = field(default_factory=dict)
    instead_of: str | None = None


def cell(request: Request) -> str:
    """Return where models compete for this request."""
    return cells.cell(request.domain, request.task)


def plan(
    prompt: Prompt, specs: Sequence[ModelSpec], ranking: Ranking | None, passes: Passes, settings: RouteSettings
) -> Plan:
    """Return the chain of models for a prompt. Empty when none may be asked; `rejected` then says why not, of each."""
    strategy = prompt.request.strategy or Strategy(settings.strategy)
    rejected = {spec.name: why for spec in specs if (why := _unfit(spec, prompt))}
    pinned = prompt.request.model
    if pinned is not None and pinned not in {spec.name for spec in specs}:
        rejected[pinned] = "unknown_model"
    fit = [spec for spec in specs if spec.name not in rejected]
    competing = [spec for spec in fit if pinned is not None or not spec.reserve]
    on_overflow = chain.named(settings.overflow_models, fit) if pinned is None else ()
    if not competing and TOO_SMALL in rejected.values():
        competing, on_overflow = list(on_overflow), ()
    ordered, reason = _ordered(competing, strategy, ranking, prompt)
    ready, explored, propensity = _explored(_let_through(ordered, passes), strategy, ranking, prompt, settings)
    # a probe is the first model asked or none: as second choice it would only keep others from probing
    asked = [spec for spec in ready if spec is ready[0] or spec.name not in passes.probing]
    rejected |= {
        spec.name: f"circuit_{passes.refused.get(spec.name, Phase.HALF_OPEN)}" for spec in ordered if spec not in asked
    }
    rejected |= {spec.name: "reserve" for spec in fit if spec.reserve and spec not in ordered}
    preferred = asked if explored else ordered
    return Plan(
        strategy=strategy,
        cell=cell(prompt.request),
        chain=tuple(asked),
        preferred=preferred[0].name if preferred else None,
        reason=EXPLORATION if explored else "asked_for" if pinned is not None else reason,
        rejected=rejected,
        propensity=propensity,
        estimate_usd={spec.name: _price(spec, prompt) for spec in asked},
        on_overflow=on_overflow,
        on_refusal=chain.on_refusal(settings.refusal_models, fit) if pinned is None else None,
    )


def decided(prompt: Prompt, plan: Plan, at: datetime) -> Decision:
    """Return the record of a plan, to audit it and to learn from."""
    return Decision(
        origin=prompt.origin,
        decision_id=prompt.origin.request_id,
        cell=plan.cell,
        strategy=plan.strategy,
        chosen=plan.chain[0].name if plan.chain else None,
        reasons=(plan.reason,),
        rejected=plan.rejected,
        chain=tuple(spec.name for spec in plan.chain),
        propensity=plan.propensity,
        estimates_usd=plan.estimate_usd,
        at=at,
    )


def ask(prompt: Prompt) -> Ask:
    """Return what a model is asked."""
    return Ask(
        request_id=prompt.origin.request_id,
        system=prompt.system,
        user=prompt.user,
        query=prompt.request.query,
        chunks=tuple(chunk for chunk in prompt.chunks if chunk.kept),
        max_tokens=prompt.request.max_tokens,
        temperature=prompt.request.temperature,
        opening=prompt.system.partition(prompt.canary)[0] if prompt.canary else prompt.system,
    )


def answer(prompt: Prompt, plan: Plan, said: Said) -> Answer:
    """Return the answer with everything needed to judge it."""
    fallback = (said.instead_of or said.spec.name) != plan.preferred
    return Answer(
        origin=prompt.origin,
        request=prompt.request,
        chunks=prompt.chunks,
        text=said.text,
        decision=decision(plan, said),
        finish_reason=said.finish.finish_reason,
        input_tokens=said.finish.input_tokens,
        output_tokens=said.finish.output_tokens,
        cost_usd=cost_usd(said.spec, said.finish.input_tokens, said.finish.output_tokens),
        latency_ms=said.latency_ms,
        ttft_ms=said.ttft_ms,
        prompt_version=prompt.prompt_version,
        canary=prompt.canary,
        pack_version=prompt.pack_version,
        degradations=(*prompt.degradations, FALLBACK) if fallback else prompt.degradations,
        tokens_per_s=tokens_per_s(said),
    )


def tokens_per_s(said: Said) -> float:
    """Return how fast a model wrote after its first token; 0 when everything came at once."""
    writing_ms = said.latency_ms - said.ttft_ms
    return 1000.0 * said.finish.output_tokens / writing_ms if writing_ms > 0 else 0.0


def decision(plan: Plan, said: Said) -> RouteDecision:
    """Return why this model answered. `propensity` is that of the first of the chain, before failures."""
    how = ("hedge",) if said.instead_of is not None else ()
    if (said.instead_of or said.spec.name) != plan.preferred:
        how = (*how, "fallback")
    return RouteDecision(
        strategy=plan.strategy,
        cell=plan.cell,
        model=said.spec.name,
        provider=said.spec.provider,
        reasons=(plan.reason, *how),
        rejected={**plan.rejected, **said.failed},
        chain=tuple(spec.name for spec in plan.chain),
        propensity=plan.propensity,
        cost_estimate_usd=plan.estimate_usd.get(said.spec.name, 0.0),
        tier=said.spec.tier,
    )


def cost_usd(spec: ModelSpec, input_tokens: int, output_tokens: int) -> float:
    """Return the price of a call."""
    return (input_tokens * spec.usd_per_million_in + output_tokens * spec.usd_per_million_out) / _USD_PER


def _unfit(spec: ModelSpec, prompt: Prompt) -> str | None:
    request = prompt.request
    if request.model is not None and spec.name != request.model:
        return "not_asked_for"
    if request.domain not in spec.domains:
        return "domain_not_supported"
    if prompt.tokens + request.max_tokens > spec.context_tokens:
        return TOO_SMALL
    return None


def _ordered(
    specs: Sequence[ModelSpec], strategy: Strategy, ranking: Ranking | None, prompt: Prompt
) -> tuple[list[ModelSpec], str]:
    """Return the models best first, those equally good in the order of the settings, and the reason for the first."""
    standings = {standing.model: standing for standing in ranking.standings} if ranking else {}
    if strategy is Strategy.COST_OPTIMIZED:
        return sorted(specs, key=lambda spec: _price(spec, prompt)), "cheapest"
    known = [spec for spec in specs if spec.name in standings]
    unknown = [spec for spec in specs if spec.name not in standings]
    if strategy is Strategy.SPEED_OPTIMIZED and known:
        return [*sorted(known, key=lambda spec: standings[spec.name].latency_ms), *unknown], "fastest"
    if strategy is Strategy.QUALITY_OPTIMIZED and known:
        return [*sorted(known, key=lambda spec: -standings[spec.name].score), *unknown], "highest_score"
    champion = ranking.champion if ranking else None
    if strategy is Strategy.DOMAIN_OPTIMIZED and champion in {spec.name for spec in specs}:
        return sorted(specs, key=lambda spec: spec.name != champion), "champion"
    return list(specs), "first_in_settings"


def _let_through(ordered: Sequence[ModelSpec], passes: Passes) -> list[ModelSpec]:
    """Return the models whose circuit lets the request through; if there is none, a half-open one: better a probe than no answer."""
    through = [spec for spec in ordered if spec.name not in passes.refused]
    return through or [spec for spec in ordered if spec.name in passes.spare][:1]


def _price(spec: ModelSpec, prompt: Prompt) -> float:
    return cost_usd(spec, prompt.tokens, prompt.request.max_tokens)


def shares(ordered: Sequence[str], ranking: Ranking | None, settings: RouteSettings) -> Mapping[str, float]:
    """Return the probability of each model to be asked first. The first of them leads; the others explore.

    Exploring costs least where it is most likely to find something: a challenger gets requests in proportion to the evidence that it is
    better than the champion, and the more evidence there is, the more requests explore.
    """
    first, *challengers = ordered
    if not challengers or settings.explore_share == 0.0:
        return {first: 1.0}
    duels = {one.model: one.duel for one in ranking.standings} if ranking else {}
    weights = {name: max(1.0, duel.strength) if (duel := duels.get(name)) else 1.0 for name in challengers}
    most = max(settings.explore_share, settings.explore_most)
    share = min(most, settings.explore_share * max(weights.values()))
    total = sum(weights.values())
    return {first: 1.0 - share} | {name: share * weight / total for name, weight in weights.items()}


def _explored(
    specs: list[ModelSpec], strategy: Strategy, ranking: Ranking | None, prompt: Prompt, settings: RouteSettings
) -> tuple[list[ModelSpec], bool, float]:
    """Put a challenger first for a share of requests, so that it can prove itself.

    Returns the order, whether a challenger leads it, and the probability with which its first model leads.
    """
    if strategy not in EXPLORING or not specs:
        return specs, False, 1.0
    drawn = lot("explore", prompt.origin.request_id)
    chances = shares([spec.name for spec in specs], ranking, settings)
    chosen = specs[0]
    for spec in specs:
        drawn -= (chance := chances.get(spec.name, 0.0))
        if drawn < 0.0 and chance > 0.0:
            chosen = spec
            break
    others = [spec for spec in specs if spec is not chosen]
    return [chosen, *others], chosen is not specs[0], chances[chosen.name]
