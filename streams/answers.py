"""Answers that were given before: to whom they may be given again, and what stages ask of whoever keeps them."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from streams.ports import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Who and what an answer is valid for. Another scope never sees it.

    `grounds` is a hash of all that a model is told but for the question: instructions, passages, the pack and its version,
    who asks. `model` is set when the request names its model; `tier` is that of the model.
    """

    tenant: str
    domain: str
    task: str
    grounds: str
    prompt_version: str
    model: str
    tier: str

    def digest(self) -> str:
        """Return the scope as part of a key; no two scopes have the same."""
        return digest(self.tenant, self.domain, self.task, self.grounds, self.prompt_version, self.model, self.tier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked. `ask` hashes everything a model is told, but for what is drawn anew for each request.

    Answers to questions as near as `threshold` may be taken as well; None takes those to the same ask only.
    """

    scope: Scope
    ask: str
    text: str
    max_tokens: int
    threshold: float | None = None

    @property
    def key(self) -> str:
        """The question in its scope."""
        return f"{self.scope.digest()}:{self.ask}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """An answer, and the request that it was first given to."""

    text: str
    model: str
    provider: str
    finish_reason: str
    input_tokens: int
    output_tokens: int
    request_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An answer that may be given again. `similarity` of the questions is 1 for an exact hit."""

    answer: CachedAnswer
    similarity: float
    age_s: float
    kind: str = "exact"


class AnswerMemory(Protocol):
    """Where answers are kept for a while. It may lose any of them at any time; being down is a miss, not an error."""

    async def exact(self, question: Question) -> Hit | None:
        """Return the answer that was given to the same ask."""

    def near(self, question: Question, vector: Vector) -> Hit | None:
        """Return the answer that was given to the nearest question, when it is near enough and not too long."""

    async def keep(self, question: Question, vector: Vector | None, answer: CachedAnswer) -> None:
        """Remember an answer; with a vector also for questions near it."""

    def count(self, what: str) -> None:
        """Count for the metrics: a hit by its kind, a miss, a check and how it ended."""


def digest(*parts: str) -> str:
    """Hash the parts so that no two lists of parts have the same input: each goes in with its length."""
    found = hashlib.sha256()
    for part in parts:
        read = part.encode("utf-8", "surrogatepass")
        found.update(len(read).to_bytes(8, "big") + read)
    return found.hexdigest()[:32]
