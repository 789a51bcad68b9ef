"""Models are asked once: what is asked and answered is in the log before anybody can see it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from agents.route import once, rules
from agents.route.rules import Plan, Said
from schemas.records import Answer, Effect, Prompt
from streams.errors import DeadlineExceeded, NoProviderLeft
from streams.ports import Clock, EffectMemory


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
    prompt: Prompt,
    plan: Plan,
    before: Effect | None,
    asking: Callable[[], Awaitable[Said]],
    noted: Noted,
    clock: Clock,
    *,
    tries: int,
) -> Answer:
    """Return the answer of `asking`, logged before anybody can see it.

    The log knows that models are going to be asked before the first of them is: whoever finds that without an end
    knows that they may have been asked. Nobody waits for the log where asking again costs nothing.

    Raises:
        NoProviderLeft, DeadlineExceeded: as `asking`.
    """
    wait = not all(spec.repeatable for spec in plan.everybody)
    effect = once.begun(prompt, plan, before, clock.now(), tries=tries)
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
