"""Asking models until one has answered: the same one again, the next one, or two at once."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from agents.route import chain, rules
from agents.route.race import Call, Race
from agents.route.rules import Plan, Said
from agents.route.stream import TokenStream
from schemas.records import CircuitState, Outcome, Prompt
from streams.circuit import Gate
from streams.errors import DeadlineExceeded, NoProviderLeft
from streams.lots import lot
from streams.ports import Ask, Clock, Model, ModelSpec
from streams.settings import RouteSettings

SAVED_HEDGES = 10.0  # that a quiet time leaves for a bad minute
SKIPPED = "circuit_open"


class HedgeBudget:
    """Allows a share of the requests of this worker to ask two models at once."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 1.0 if share > 0 else 0.0

    def earn(self) -> None:
        """Count a request."""
        self._saved = min(SAVED_HEDGES, self._saved + self._share)

    @property
    def allows(self) -> bool:
        """Whether there is one left."""
        return self._saved >= 1.0

    def spend(self) -> None:
        """Count a hedge."""
        self._saved -= 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all requests of a worker share when they ask."""

    models: Mapping[str, Model]
    circuits: Mapping[str, CircuitState]
    gate: Gate
    budget: HedgeBudget
    clock: Clock
    settings: RouteSettings


class Asking:
    """The calls of one request, one model after the other along the chain of its plan."""

    def __init__(
        self,
        prompt: Prompt,
        key: str,
        plan: Plan,
        means: Means,
        stream: TokenStream,
        report: Callable[[Outcome], None],
    ) -> None:
        self._prompt = prompt
        self._key = key
        self._plan = plan
        self._means = means
        self._stream = stream
        self._report = report
        self._ask: Ask = rules.ask(prompt)
        self._failed: dict[str, str] = {}
        self._asked: set[str] = set()
        self._outrun: set[str] = set()  # lost to their hedges; they have not failed and may be asked once more

    async def answer(self) -> Said:
        """Return what the first model that can answer says.

        Raises:
            NoProviderLeft: every model failed, or none may be asked.
            DeadlineExceeded: there was no time left to ask another one.
        """
        left = self._plan.chain
        while left:
            spec, left = left[0], left[1:]
            self._left_s()
            if self._asked and not self._may_ask(spec.name):
                self._failed.setdefault(spec.name, SKIPPED)
                continue
            said, left = await self._answer_of(spec, left)
            if said is not None:
                return said
        self._left_s()
        reasons = {**self._plan.rejected, **self._failed}
        listed = ", ".join(f"{model}: {why}" for model, why in sorted(reasons.items()))
        raise NoProviderLeft(f"no model can answer ({listed or 'the settings name none'})", context=reasons)

    async def _answer_of(
        self, spec: ModelSpec, left: tuple[ModelSpec, ...]
    ) -> tuple[Said | None, tuple[ModelSpec, ...]]:
        """Ask a model as often as it is worth it; returns its answer or that of its hedge, or whom to ask next."""
        began = self._means.clock.now()
        for tries in range(1, self._means.settings.tries + 1):
            calls = await self._calls_of(spec, left)
            if (won := next((call for call in calls if call.answered), None)) is not None:
                self._stream.complete()
                return self._said(won, calls), left
            pause_s = self._pause_s(calls, tries, began, others=bool(left))
            if pause_s is not None:
                await asyncio.sleep(pause_s)
                if self._may_ask(spec.name):
                    continue
            return None, self._next(calls, left)
        return None, left

    async def _calls_of(self, spec: ModelSpec, left: tuple[ModelSpec, ...]) -> list[Call]:
        """Ask a model, and its hedge when it keeps silent."""
        means = self._means
        call = self._call(spec, others=bool(left))
        race = Race(self._stream, self._report, _price, self._prompt.tokens, means.clock)
        second = chain.hedge(spec, left) if spec.name not in self._outrun else None
        if second is None or means.settings.hedge_share == 0.0:
            await race.alone(call)
            return [call]
        after_s = chain.hedge_after_s(means.circuits.get(spec.name), means.settings)
        hedge = await race.hedged(call, after_s, partial(self._hedge, second, len(left)))
        return [call] if hedge is None else [call, hedge]

    def _hedge(self, spec: ModelSpec, left: int) -> Call | None:
        """Return the call of a hedge, when budget and circuit allow one."""
        if not self._means.budget.allows or not self._may_ask(spec.name):
            return None
        self._means.budget.spend()
        return self._call(spec, others=left > 1)

    def _call(self, spec: ModelSpec, *, others: bool) -> Call:
        self._asked.add(spec.name)
        patience_s = chain.patience_s(self._left_s(), others=others, settings=self._means.settings)
        queue_s = chain.queue_s(patience_s, others=others, settings=self._means.settings)
        return Call(
            model=self._means.models[spec.name],
            ask=replace(self._ask, queue_s=queue_s),
            started=self._means.clock.now(),
            patience_s=patience_s,
        )

    def _said(self, won: Call, calls: list[Call]) -> Said:
        """Return the answer of one of the calls."""
        self._failed |= {call.name: call.error.code for call in calls if call.error is not None}
        return Said(
            spec=won.model.spec,
            text=won.text,
            finish=won.finish,
            latency_ms=won.latency_ms,
            ttft_ms=won.ttft_ms,
            failed={name: why for name, why in self._failed.items() if name != won.name},
            instead_of=calls[0].name if calls[0].lost else None,
        )

    def _pause_s(self, calls: list[Call], tries: int, began: datetime, *, others: bool) -> float | None:
        """Return how long to wait before another try; where two were asked at once there is none."""
        (first, *hedges) = calls
        if hedges or first.error is None:
            return None
        return chain.pause_s(
            first.error,
            tries,
            spent_s=(self._means.clock.now() - began).total_seconds(),
            left_s=(self._prompt.origin.deadline - self._means.clock.now()).total_seconds(),
            others=others,
            chance=lot(f"retry {tries}", self._prompt.origin.request_id),
            settings=self._means.settings,
        )

    def _next(self, calls: list[Call], left: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
        """Return whom to ask after these calls: one that was only outrun comes last."""
        outrun: list[ModelSpec] = []
        for call in calls:
            if call.error is None:
                continue
            self._failed[call.name] = call.error.code
            if call.lost and call.name not in self._outrun:
                self._outrun.add(call.name)
                self._asked.discard(call.name)
                outrun.append(call.model.spec)
                continue
            left = chain.after(
                left,
                call.model.spec,
                call.error,
                overflow=self._plan.on_overflow,
                refusal=self._plan.on_refusal,
                asked=self._asked,
            )
        return (*left, *outrun)

    def _may_ask(self, name: str) -> bool:
        """Whether its circuit lets another call through, now."""
        return self._means.gate.lets_through(name, self._means.clock.now(), self._key)

    def _left_s(self) -> float:
        left_s = (self._prompt.origin.deadline - self._means.clock.now()).total_seconds()
        if chain.too_late(left_s):
            raise DeadlineExceeded("the deadline came before a model had answered", context=self._failed)
        return left_s


def _price(model: Model, input_tokens: int, output_tokens: int) -> float:
    return rules.cost_usd(model.spec, input_tokens, output_tokens)
