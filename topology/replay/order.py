"""What is ordered: which requests, through which variants of the graph. Pure."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from agents.compose import adapters
from agents.evaluate.rules import EVALUATOR
from schemas.records import Context, Domain, Embedding, Prompt, Request, Strategy, Task, TextQuery
from streams.cells import cell
from streams.errors import StartRefused
from streams.lots import lot
from streams.settings import Settings
from topology.units import Unit

AS_CONFIGURED = "as-configured"
HISTORY = "history"
_NAME = re.compile(r"[a-z0-9_]{1,32}")  # no dash: the topics of `a` would begin like those of `a-1`
_DIGEST_LETTERS = 12
_SHORT = 8

ENTRIES: Mapping[str, type] = {
    "texts": TextQuery,
    "requests": Request,
    "embeddings": Embedding,
    "contexts": Context,
    "prompts": Prompt,
}
"""Topics a replay can begin at, with their records: everything before the models, so that retrieval may be kept as it was."""


class Seed(StrEnum):
    """What champions and circuits begin with."""

    EMPTY = "empty"
    LIVE = "live"


class Answers(StrEnum):
    """Where answers come from."""

    REUSE = "reuse"
    RECORDED = "recorded"
    FRESH = "fresh"


class Knowledge(StrEnum):
    """Where passages are found."""

    TOPIC = "topic"
    STORE = "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to answer the same requests."""

    name: str
    model: str | None = None
    strategy: Strategy | None = None

    def settings(self, settings: Settings) -> Settings:
        """Return the settings of a deployment that answers this way. A single model has nobody to hide behind."""
        return settings if self.model is None else replace(settings, route=replace(settings.route, models=self.model))

    def asked(self, record: Any, replay_id: str) -> Any:  # noqa: ANN401 - any of ENTRIES
        """Return a historical record as this variant is asked."""
        origin = replace(record.origin, replay_id=replay_id)
        if not isinstance(record, TextQuery | Request):
            return replace(record, origin=origin, request=self.asked(record.request, replay_id))
        pinned = record.model if self.model is None else None
        if self.strategy is None:
            return replace(record, origin=origin, model=pinned)
        return replace(record, origin=origin, model=pinned, strategy=self.strategy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A replay as it was ordered."""

    topic: str
    start: datetime
    end: datetime
    variants: tuple[Variant, ...]
    sample: float = 1.0
    seed: Seed = Seed.EMPTY
    knowledge: Knowledge = Knowledge.TOPIC

    def digest(self, settings: Settings) -> str:
        """Return the id of everything that decides the results: the same order and settings have the same one."""
        deciding = [
            settings.kafka.topic_prefix,
            settings.kafka.partitions,
            settings.admit,
            settings.screen,
            settings.remember,
            settings.embed,
            settings.index,
        ]
        deciding += [
            settings.retrieve,
            settings.compose,
            settings.route,
            settings.evaluate,
            settings.rank,
            settings.watch,
        ]
        return hashlib.sha256(repr((self, deciding)).encode()).hexdigest()[:_DIGEST_LETTERS]

    def units(self) -> tuple[Unit, ...]:
        """Return the units that are needed: not those before the topic, nor those that only learn."""
        intake = (Unit.INTAKE,) if self.topic == "texts" else ()
        # of delivery only `index` has work, on the documents this replay feeds it
        delivery = (Unit.DELIVERY,) if self.retrieves and self.knowledge is Knowledge.TOPIC else ()
        return (*intake, Unit.INFERENCE, *delivery)

    @property
    def retrieves(self) -> bool:
        """Whether passages are looked for, or are those of the historical records."""
        return self.topic in {"texts", "requests", "embeddings"}

    def takes(self, key: str) -> bool:
        """Whether a conversation is in the sample: whole or not at all, and the same ones every time."""
        return self.sample >= 1.0 or lot("replay sample", key) < self.sample


def ordered(
    *,
    topic: str,
    start: datetime,
    end: datetime,
    models: Sequence[str],
    strategies: Sequence[Strategy],
    evaluator: str | None,
    prompt_version: str | None,
    sample: float,
    seed: Seed,
    knowledge: Knowledge,
) -> Order:
    """Return the order.

    Raises:
        StartRefused: with every problem at once.
    """
    problems = [
        *_topic_problems(topic),
        *([f"--from {start.isoformat()} is not before --to {end.isoformat()}"] if start >= end else []),
        *([f"--sample must be more than 0 % and at most 100 %, not {sample:.4g}"] if not 0.0 < sample <= 1.0 else []),
        *_version_problems(evaluator, prompt_version),
        *(f"{one!r} is there twice" for one in sorted({m for m in models if models.count(m) > 1})),
    ]
    if problems:
        raise StartRefused("this cannot be replayed:\n" + "\n".join(f"  - {problem}" for problem in problems))
    variants = [
        *(Variant(name=model, model=model) for model in models),
        *(Variant(name=strategy, strategy=strategy) for strategy in strategies),
    ]
    return Order(
        topic=topic,
        start=start,
        end=end,
        variants=tuple(variants or [Variant(name=AS_CONFIGURED)]),
        sample=sample,
        seed=seed,
        knowledge=knowledge,
    )


def checked_name(name: str | None, digest: str) -> str:
    """Return the name of a replay; without one it is called after its digest, so that the same order finds it again.

    Raises:
        StartRefused: topics cannot be called so.
    """
    if name is None:
        return digest[:_SHORT]
    if not _NAME.fullmatch(name):
        raise StartRefused(f"a replay cannot be called {name!r}: take 1 to 32 of the characters a-z 0-9 _")
    return name


def cell_of(record: Any) -> str:  # noqa: ANN401 - any of ENTRIES
    """Return where models compete for a request, as far as it says so itself."""
    request = record if isinstance(record, TextQuery | Request) else record.request
    return cell(request.domain or Domain.GENERAL, request.task or Task.ANALYSIS)


def query_of(record: Any) -> str:  # noqa: ANN401 - any of ENTRIES
    """Return what was asked."""
    return str((record if isinstance(record, TextQuery | Request) else record.request).query)


def _topic_problems(topic: str) -> Sequence[str]:
    if topic in ENTRIES:
        return []
    return [f"requests cannot be replayed from topic {topic!r}, but from {', '.join(ENTRIES)}"]


def _version_problems(evaluator: str | None, prompt_version: str | None) -> Sequence[str]:
    known = [adapters.version(domain) for domain in Domain]
    problems = []
    if evaluator not in {None, EVALUATOR}:
        problems.append(f"this version judges with {EVALUATOR}, not with {evaluator!r}; install the one that has it")
    if prompt_version is not None and prompt_version not in {*known, str(adapters.VERSION)}:
        have = ", ".join(known)
        problems.append(f"this version writes the prompts {have}, not {prompt_version!r}; install the one that has it")
    return problems
