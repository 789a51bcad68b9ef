"""Models of known quality that changes over time, and the scores a judge would give them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

EVALUATIONS = 4000
CHANGE = 1000  # evaluation at which a scenario's models change
SPREAD = 0.15  # standard deviation of scores
FAILURES = 0.1  # share of answers worth nothing, where there are any

Quality = Callable[[int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Models competing in one cell. `changes` says whether another model is best after `CHANGE`."""

    name: str
    meaning: str
    models: Mapping[str, Quality]
    changes: bool
    failures: float = 0.0

    def best(self, at: int) -> float:
        """Return what an oracle would get on average."""
        return max(quality(at) for quality in self.models.values())

    def score(self, model: str, at: int, chance: Random) -> float:
        """Return the score of one answer; its mean is the model's quality."""
        if chance.random() < self.failures:
            return 0.0
        mean = min(0.99, self.models[model](at) / (1.0 - self.failures))
        spread = min(SPREAD, 0.8 * math.sqrt(mean * (1.0 - mean)))
        weight = mean * (1.0 - mean) / spread**2 - 1.0
        return chance.betavariate(mean * weight, (1.0 - mean) * weight)


def steady(quality: float) -> Quality:
    """Return a quality that never changes."""
    return lambda _: quality


def step(before: float, later: float) -> Quality:
    """Return a quality that changes once."""
    return lambda at: before if at < CHANGE else later


def wave(middle: float, height: float, phase: float) -> Quality:
    """Return a quality that comes and goes twice."""
    return lambda at: middle + height * math.sin(4 * math.pi * at / EVALUATIONS + phase)


def scenario(name: str, meaning: str, *models: Quality, changes: bool, failures: float = 0.0) -> Scenario:
    """Return a scenario; its first model is the first of the settings."""
    named = {f"model-{letter}": quality for letter, quality in zip("abcd", models, strict=True)}
    return Scenario(name=name, meaning=meaning, models=named, changes=changes, failures=failures)


SCENARIOS = (
    scenario("steady", "0.75, 0.70, 0.65, 0.60 for ever", *map(steady, (0.75, 0.70, 0.65, 0.60)), changes=False),
    scenario("equal", "four models of 0.70: every promotion is needless", *map(steady, (0.7,) * 4), changes=False),
    scenario(
        "new best", "one of 0.55 becomes 0.80; the champion has 0.65",
        steady(0.65), steady(0.6), step(0.55, 0.80), steady(0.5), changes=True,
    ),
    scenario(
        "new best near 1", "one of 0.80 becomes 0.95; the champion has 0.87",
        steady(0.87), steady(0.82), step(0.80, 0.95), steady(0.7), changes=True,
    ),
    scenario(
        "slightly better", "one of 0.65 becomes 0.75; the champion has 0.70",
        steady(0.70), steady(0.65), step(0.65, 0.75), steady(0.6), changes=True,
    ),
    scenario(
        "champion breaks", "the champion falls from 0.80 to 0.40; the next has 0.70",
        step(0.80, 0.40), steady(0.70), steady(0.6), steady(0.5), changes=True,
    ),
    scenario(
        "harder questions", "all fall by 0.2 at once, in the same order",
        step(0.80, 0.60), step(0.75, 0.55), step(0.70, 0.50), step(0.6, 0.4), changes=False,
    ),
    scenario(
        "drift", "four qualities that come and go, each best for a while",
        *(wave(0.65, 0.15, quarter * math.pi / 2) for quarter in range(4)), changes=False,
    ),
    scenario(
        "failing answers", "a tenth of all answers is worth nothing; one of 0.60 becomes 0.80, the champion has 0.65",
        steady(0.65), steady(0.6), step(0.60, 0.80), steady(0.5), changes=True, failures=FAILURES,
    ),
)  # fmt: skip
