"""What the log says of a prompt, before and after models are asked: pure functions on effects."""

from dataclasses import replace
from datetime import datetime

from agents.route.rules import Plan
from schemas.records import Answer, Effect, EffectState, Origin, Prompt
from streams.topic import of_tenant

STAGE = "route"


def effect_id(origin: Origin) -> str:
    """Return the id under which the answer to a request is logged."""
    return f"{of_tenant(origin.tenant, origin.request_id)}/{STAGE}"


def epochs(before: Effect | None) -> int:
    """Return the first epoch that no earlier delivery of the prompt can have used."""
    return before.epochs if before is not None else 0


def begun(prompt: Prompt, plan: Plan, before: Effect | None, at: datetime, *, tries: int) -> Effect:
    """Return what is logged before the first model is asked: epochs are set aside for every call that can follow.

    A model is asked at most `tries` times, and as often again when it was outrun by another one.

    When the log says that asking was begun before and not how it ended, a model may have been asked already.
    """
    models = len(plan.everybody)
    return Effect(
        origin=prompt.origin,
        effect_id=effect_id(prompt.origin),
        state=EffectState.BEGUN,
        at=at,
        epochs=epochs(before) + tries * models * (1 if models == 1 else 2),
        maybe_repeated=before is not None and (before.maybe_repeated or before.state is EffectState.BEGUN),
    )


def recalled(prompt: Prompt, answer: Answer, before: Effect | None, at: datetime) -> Effect:
    """Return what is logged when an answer was known already: one epoch is set aside to say it in."""
    return Effect(
        origin=prompt.origin,
        effect_id=effect_id(prompt.origin),
        state=EffectState.DONE,
        at=at,
        epochs=epochs(before) + 1,
        answer=answer,
    )


def done(effect: Effect, answer: Answer, at: datetime) -> Effect:
    """Return what is logged when a model has answered."""
    return replace(effect, state=EffectState.DONE, at=at, answer=answer)


def failed(effect: Effect, at: datetime) -> Effect:
    """Return what is logged when every model has failed: a redriven prompt may ask them again."""
    return replace(effect, state=EffectState.FAILED, at=at)
