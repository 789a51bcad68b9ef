"""Asking models one after the other, until one has answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from agents.route import once, rules
from agents.route.rules import Plan, Said
from agents.route.stream import TokenStream
from schemas.records import Answer, Effect, Outcome, Prompt
from streams.circuit import milliseconds, outcome
from streams.errors import DeadlineExceeded, NoProviderLeft, ProviderRefused, ProviderUnavailable, Transient
from streams.ports import Ask, Clock, EffectMemory, Finish, Model


@dataclass(frozen=True, slots=True)
class Noted:
    """How effects are logged: `confirmed` waits until the broker has one, `sent` does not."""

    confirmed: Callable[[Effect], Awaitable[None]]
    sent: Callable[[Effect], None]
    memory: EffectMemory

    async def note(self, effect: Effect, *, wait: bool) -> None:
        """Write an effect to the log, then to memory."""
        if wait:
            await self.confirmed(effect)
        else:
            self.sent(effect)
        self.memory.keep(effect)


async def asked_once(
    prompt: Prompt, plan: Plan, before: Effect | None, asking: Callable[[], Awaitable[Said]], noted: Noted, clock: Clock
) -> Answer:
    """Return the answer of `asking`, logged before anybody can see it.

    The log knows that models are going to be asked before the first of them is: whoever finds that without an end
    knows that they may have been asked. Nobody waits for the log where asking again costs nothing.

    Raises:
        NoProviderLeft, DeadlineExceeded: as `answered`.
    """
    wait = not all(spec.repeatable for spec in plan.chain)
    effect = once.begun(prompt, plan, before, clock.now())
    if plan.chain:
        await noted.note(effect, wait=wait)
    try:
        said = await asking()
    except (NoProviderLeft, DeadlineExceeded):
        await noted.note(once.failed(effect, clock.now()), wait=False)
        raise
    answer = replace(rules.answer(prompt, plan, said), maybe_repeated=effect.maybe_repeated)
    await noted.note(once.done(effect, answer, clock.now()), wait=wait)
    return answer


async def answered(
    prompt: Prompt,
    plan: Plan,
    catalogue: Mapping[str, Model],
    stream: TokenStream,
    report: Callable[[Outcome], None],
    clock: Clock,
) -> Said:
    """Return what the first model of the chain that can answer says; every call is reported when it ends.

    Raises:
        NoProviderLeft: every model failed, or none may be asked.
        DeadlineExceeded: there was no time left to ask another one.
    """
    request_id, ask = prompt.origin.request_id, rules.ask(prompt)
    failed: dict[str, str] = {}
    for position, spec in enumerate(plan.chain):
        started = clock.now()
        left_s = _left_s(prompt, started, failed)
        stream.start()
        try:
            patience_s = rules.patience_s(left_s, len(plan.chain) - position)
            text, finish = await _said(catalogue[spec.name], ask, stream, patience_s)
        except (Transient, ProviderRefused) as error:
            failed[spec.name] = error.code
            report(outcome(spec.name, started=started, ended=clock.now(), request_id=request_id, error=error))
            continue
        ended = clock.now()
        report(outcome(spec.name, started=started, ended=ended, request_id=request_id))
        stream.complete()
        took_ms = milliseconds(started, ended)
        return Said(spec=spec, text=text, finish=finish, latency_ms=took_ms, ttft_ms=stream.ttft_ms, failed=failed)
    _left_s(prompt, clock.now(), failed)
    reasons = {**plan.rejected, **failed}
    listed = ", ".join(f"{model}: {why}" for model, why in sorted(reasons.items()))
    raise NoProviderLeft(f"no model can answer ({listed or 'the settings name none'})", context=reasons)


def _left_s(prompt: Prompt, at: datetime, failed: Mapping[str, str]) -> float:
    left_s = (prompt.origin.deadline - at).total_seconds()
    if rules.too_late(left_s):
        raise DeadlineExceeded("the deadline came before a model had answered", context=failed)
    return left_s


async def _said(model: Model, ask: Ask, stream: TokenStream, patience_s: float) -> tuple[str, Finish]:
    """Return the whole answer of one model. Raises Transient and ProviderRefused."""
    parts: list[str] = []
    try:
        async with asyncio.timeout(patience_s):
            finish = await _drained(model, ask, stream, parts)
    except TimeoutError as error:
        raise ProviderUnavailable(f"{model.spec.name} did not end its answer within {patience_s:.1f} s") from error
    text = "".join(parts)
    if not text.strip():
        raise ProviderRefused(f"{model.spec.name} answered with nothing ({finish.finish_reason})")
    return text, finish


async def _drained(model: Model, ask: Ask, stream: TokenStream, parts: list[str]) -> Finish:
    finish: Finish | None = None
    async for piece in model.stream(ask):
        if isinstance(piece, Finish):
            finish = piece
        elif finish is None:
            parts.append(piece.text)
            stream.token(piece.text)
    if finish is None:
        raise ProviderUnavailable(f"{model.spec.name} stopped before the end of its answer")
    return finish
