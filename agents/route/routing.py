"""How one prompt comes to its answer: said before, given before, or asked now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from agents.route import chain, once, reuse, rules
from agents.route.asking import Asking, Means
from agents.route.logged import Noted, asked_once
from agents.route.recall import Found, Recall
from agents.route.rules import Plan
from agents.route.stream import TokenStream
from schemas.records import Answer, Decision, Effect, Outcome, Prompt, Ranking
from streams.answers import Hit, Question
from streams.circuit import milliseconds
from streams.settings import CacheSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Sends:
    """What is sent while a prompt is being answered."""

    stream: TokenStream
    decision: Callable[[Decision], None]
    outcome: Callable[[Outcome], None]
    noted: Noted


class Routing:
    """Answers the prompts of one worker."""

    def __init__(self, means: Means, recall: Recall, champions: Mapping[str, Ranking], caching: CacheSettings) -> None:
        self._means = means
        self._recall = recall
        self._champions = champions
        self._caching = caching
        self._specs = {name: model.spec for name, model in means.models.items()}

    async def answer(self, prompt: Prompt, key: str, before: Effect | None, sends: Sends) -> Answer:
        """Return the answer to a prompt; `before` is what the log knows of it.

        Raises:
            NoProviderLeft: every model failed, or none may be asked.
            DeadlineExceeded: there was no time left.
        """
        if before is not None and before.answer is not None:
            sends.stream.whole(before.answer.text)
            return before.answer
        began = self._means.clock.now()
        plan = self._plan(prompt, key, began)
        question = reuse.question(prompt, plan, self._specs.get(plan.preferred or ""), self._caching)
        patience_s = chain.waiting_s(prompt, began, self._means.settings)
        found = await self._recall.find(prompt, question, patience_s=patience_s)
        if found.hit is not None:
            return await self._again(prompt, plan, found.hit, before, sends, began)
        with self._recall.asking(question):
            return await self._asked(prompt, key, plan, question, found, before, sends)

    def _plan(self, prompt: Prompt, key: str, at: datetime) -> Plan:
        passes = self._means.gate.look(list(self._specs), at, key)
        ranking = self._champions.get(rules.cell(prompt.request))
        return rules.plan(prompt, list(self._specs.values()), ranking, passes, self._means.settings)

    async def _again(
        self, prompt: Prompt, plan: Plan, hit: Hit, before: Effect | None, sends: Sends, began: datetime
    ) -> Answer:
        """Give an answer again; the log has it before anybody can see it, since the cache may lose it."""
        now = self._means.clock.now()
        answer = reuse.answer(prompt, plan, hit, milliseconds(began, now))
        sends.decision(reuse.decided(prompt, plan, hit, now))
        await sends.noted.note(once.recalled(prompt, answer, before, now), wait=True)
        sends.stream.whole(answer.text)
        return answer

    async def _asked(
        self,
        prompt: Prompt,
        key: str,
        plan: Plan,
        question: Question | None,
        found: Found,
        before: Effect | None,
        sends: Sends,
    ) -> Answer:
        """Ask the models of the plan, and remember what they say."""
        means, now = self._means, self._means.clock.now()
        if plan.chain:
            means.gate.take(plan.chain[0].name, now)
            means.budget.earn()
        sends.decision(rules.decided(prompt, plan, now))
        asking = Asking(prompt, key, plan, means, sends.stream, sends.outcome)
        answer = await asked_once(
            prompt, plan, before, asking.answer, sends.noted, means.clock, tries=means.settings.tries
        )
        await self._recall.keep(question, found, answer, self._specs[answer.decision.model].tier)
        return answer
