"""One run of one policy in one scenario, and what all runs of it come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, median

from tests.benchmarks.champions_models import CHANGE, EVALUATIONS, Scenario
from tests.benchmarks.champions_policies import Contender

CURVE_EVERY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run cost. `found` counts evaluations from the change to the new best in the lead; None: never."""

    regret: float
    curve: Sequence[float]
    promotions: int
    false_promotions: int
    found: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All runs of a policy in a scenario, per 1,000 evaluations where it says so."""

    scenario: str
    contender: str
    regret_per_1000: float
    promotions_per_1000: float
    false_per_1000: float
    found_median: float | None
    found_share: float
    curve: Sequence[float]


def played(scenario: Scenario, contender: Contender, seed: int) -> Run:
    """Play one run."""
    chance = Random(f"{scenario.name} {seed}")
    policy = contender.make(tuple(scenario.models))
    regret, promotions, wrong, found, curve = 0.0, 0, 0, None, []
    for at in range(EVALUATIONS):
        model, before = policy.choose(chance), policy.leader
        regret += scenario.best(at) - scenario.models[model](at)
        policy.learn(model, scenario.score(model, at, chance))
        leader = policy.leader
        if before is not None and leader is not None and leader != before:
            promotions += 1
            wrong += scenario.models[leader](at) <= scenario.models[before](at)
        if scenario.changes and found is None and at >= CHANGE and leader is not None:
            found = at - CHANGE if scenario.models[leader](at) == scenario.best(at) else None
        if at % CURVE_EVERY == 0:
            curve.append(regret)
    return Run(regret=regret, curve=(*curve, regret), promotions=promotions, false_promotions=wrong, found=found)


def summarised(scenario: Scenario, contender: Contender, runs: Sequence[Run]) -> Summary:
    """Return the means of some runs."""
    per_1000 = 1000 / EVALUATIONS
    found = [run.found for run in runs if run.found is not None]
    return Summary(
        scenario=scenario.name,
        contender=contender.name,
        regret_per_1000=fmean(run.regret for run in runs) * per_1000,
        promotions_per_1000=fmean(run.promotions for run in runs) * per_1000,
        false_per_1000=fmean(run.false_promotions for run in runs) * per_1000,
        found_median=median(found) if 2 * len(found) > len(runs) else None,
        found_share=len(found) / len(runs),
        curve=[fmean(values) for values in zip(*(run.curve for run in runs), strict=True)],
    )
