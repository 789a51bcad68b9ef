"""Who answers next: the rules of `agents.rank` with different settings, and what the literature would do instead."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Protocol

from agents.rank import rules
from agents.route import rules as routing
from schemas.records import Verdict
from streams.settings import RankSettings, RouteSettings

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CELL = "general/analysis"
ROUTING = RouteSettings()


class Policy(Protocol):
    """Chooses models and learns from their scores."""

    @property
    def leader(self) -> str | None:
        """The model it holds for the best."""

    def choose(self, chance: Random) -> str:
        """Return who answers."""

    def learn(self, model: str, score: float) -> None:
        """Take in a verdict."""


class Ruled:
    """What `rank` does to a ranking, and `route` with it."""

    def __init__(self, models: Sequence[str], settings: RankSettings) -> None:
        self._models = models
        self._settings = settings
        self._ranking = rules.unranked(CELL)
        self._verdicts = 0

    @property
    def leader(self) -> str | None:
        return self._ranking.champion

    def choose(self, chance: Random) -> str:
        first = self._ranking.champion or self._models[0]
        others = (model for model in self._models if model != first)
        shares = routing.shares([first, *others], self._ranking, ROUTING)
        return chance.choices(tuple(shares), tuple(shares.values()))[0]

    def learn(self, model: str, score: float) -> None:
        self._verdicts += 1
        verdict = Verdict(
            verdict_id=str(self._verdicts), cell=CELL, model=model, score=score, latency_ms=1.0, cost_usd=0.0, at=NOW
        )
        self._ranking = rules.ranked(self._ranking, verdict, self._settings)


class Thompson:
    """Thompson sampling with Beta posteriors; `memory` below 1 forgets, as for models that change (Raj and Kalyani, 2017)."""

    def __init__(self, models: Sequence[str], *, memory: float = 1.0) -> None:
        self._memory = memory
        self._good = dict.fromkeys(models, 0.0)
        self._bad = dict.fromkeys(models, 0.0)

    @property
    def leader(self) -> str | None:
        return max(self._good, key=lambda model: (1 + self._good[model]) / (2 + self._good[model] + self._bad[model]))

    def choose(self, chance: Random) -> str:
        return max(self._good, key=lambda model: chance.betavariate(1 + self._good[model], 1 + self._bad[model]))

    def learn(self, model: str, score: float) -> None:
        if self._memory < 1.0:
            for one in self._good:
                self._good[one] *= self._memory
                self._bad[one] *= self._memory
        self._good[model] += score
        self._bad[model] += 1.0 - score


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A policy with the line of the table it gets."""

    name: str
    meaning: str
    make: Callable[[Sequence[str]], Policy]


def ruled(name: str, meaning: str, settings: RankSettings) -> Contender:
    """Return a contender that follows our rules with some settings."""
    return Contender(name=name, meaning=meaning, make=lambda models: Ruled(models, settings))


OURS = "headroom and test"
CONTENDERS = (
    ruled(OURS, "the default", RankSettings()),
    ruled("20 % and test", "20 % of the champion's score, and the test", RankSettings(challenge_by="score")),
    ruled("any lead and test", "no margin, only the test", RankSettings(challenge_margin=0.0)),
    ruled("headroom, no test", "the margin alone", RankSettings(false_alarm=1.0, trial=0)),
    ruled(
        "20 %, no test", "(a) the plain rule",
        RankSettings(challenge_by="score", false_alarm=1.0, trial=0),
    ),
    ruled(
        "best so far", "(b) whoever has the higher moving average",
        RankSettings(challenge_margin=0.0, false_alarm=1.0, trial=0),
    ),
    Contender(name="Thompson", meaning="(c) Thompson sampling", make=Thompson),
    Contender(
        name="Thompson, forgetting", meaning="the same, remembering about 1,000 verdicts",
        make=lambda models: Thompson(models, memory=0.999),
    ),
)  # fmt: skip


def named() -> Mapping[str, Contender]:
    """Return the contenders by name."""
    return {contender.name: contender for contender in CONTENDERS}
