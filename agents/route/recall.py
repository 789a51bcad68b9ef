"""Answers that were given before, and questions that are being asked right now."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from agents.route import reuse
from schemas.records import Answer, Prompt
from streams.answers import AnswerMemory, Hit, Question
from streams.errors import ProviderUnavailable
from streams.ports import Clock, Encoder, Vector
from streams.settings import CacheSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of a question. A `doubted` hit is to be asked anew and compared with the fresh answer."""

    hit: Hit | None = None
    vector: Vector | None = None
    doubted: Hit | None = None


class Recall:
    """What a worker remembers of answers. Of the same question only one is asked at a time; the others wait for its answer."""

    def __init__(self, answers: AnswerMemory, encoder: Encoder, clock: Clock, settings: CacheSettings) -> None:
        self._answers = answers
        self._encoder = encoder
        self._clock = clock
        self._settings = settings
        self._under_way: dict[str, asyncio.Event] = {}

    async def find(self, prompt: Prompt, question: Question | None, *, patience_s: float) -> Found:
        """Return the answer to a question, if it was given before or is being given within so many seconds."""
        if question is None:
            return Found()
        hit = await self._answers.exact(question)
        vector = await self._vector(question) if hit is None and question.threshold is not None else None
        if hit is None and vector is not None:
            hit = self._answers.near(question, vector)
        if hit is not None and reuse.to_be_checked(prompt, hit, self._settings):
            return Found(vector=vector, doubted=hit)
        if hit is None and question.key in self._under_way:  # nothing is awaited between this and `asking`
            hit = await self._awaited(question, patience_s)
        self._answers.count("miss" if hit is None else hit.kind)
        return Found(hit=hit, vector=vector)

    @contextmanager
    def asking(self, question: Question | None) -> Iterator[None]:
        """Let those who ask the same wait while the block runs."""
        if question is None or question.key in self._under_way:
            yield
            return
        done = self._under_way[question.key] = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[question.key]
            done.set()

    async def keep(self, question: Question | None, found: Found, answer: Answer, tier: str) -> None:
        """Remember an answer that others may be given; a doubted hit is compared with it."""
        if question is None:
            return
        if found.doubted is not None:
            await self._check(found.doubted, answer)
        if reuse.worth_keeping(answer):
            under = reuse.kept_under(question, answer, tier)
            vector = found.vector if under.threshold is not None else None
            await self._answers.keep(under, vector, reuse.cached(answer, self._clock.now()))

    async def _awaited(self, question: Question, patience_s: float) -> Hit | None:
        try:
            async with asyncio.timeout(patience_s):
                await self._under_way[question.key].wait()
        except TimeoutError:
            return None
        hit = await self._answers.exact(question)
        return replace(hit, kind="in_flight") if hit is not None else None

    async def _check(self, doubted: Hit, answer: Answer) -> None:
        """Count whether a near question's answer says what a fresh one says."""
        try:
            known, fresh = await self._encoder.encode([doubted.answer.text, answer.text])
        except ProviderUnavailable:
            return
        nearness = sum(one * other for one, other in zip(known, fresh, strict=True))
        right = nearness >= self._settings.agree_at and reuse.same_numbers(doubted.answer.text, answer.text)
        self._answers.count("verified")
        if not right:
            self._answers.count("false_hit")

    async def _vector(self, question: Question) -> Vector | None:
        try:
            (vector,) = await self._encoder.encode([question.text])
        except ProviderUnavailable:
            return None
        return vector
