"""Asking a model to judge. Whatever becomes of it is a score with a status; it never raises and never outlasts the request."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from agents.evaluate import judgement
from agents.evaluate.judgement import Judgement
from schemas.records import Answer, Outcome, ScoreStatus
from streams.circuit import Gate, outcome
from streams.errors import ContextOverflow, PipelineError, ProviderRefused, ProviderUnavailable, Transient
from streams.lots import lot
from streams.ports import Ask, Clock, Finish, Model
from streams.settings import EvaluateSettings

LEFT_S = 1.0  # what the stages after this one have until the deadline


class Judge:
    """The judge of the settings.

    Args:
        models: whom the settings can mean: everybody of the chain, or the one they name.
        gate: of the circuits, one for each judge: a slow judge is no slow answer.
        clock: the present.
        settings: who judges, how long, and which share of the answers.
    """

    def __init__(self, models: Iterable[Model], gate: Gate, clock: Clock, settings: EvaluateSettings) -> None:
        self._models = {model.spec.name: model for model in models}
        self._one = None if settings.judge == judgement.SAME else next(iter(self._models), None)
        self._gate = gate
        self._clock = clock
        self._settings = settings

    async def judged(self, answer: Answer, key: str, report: Callable[[Outcome], None]) -> Judgement:
        """Return the judgement on an answer; `key` is that of its record, `report` is told of the call."""
        name = self._one or answer.decision.model
        model, started = self._models.get(name), self._clock.now()
        patience_s = self._patience_s(answer, started)
        again = answer.reused is not None  # it was judged when it was given first
        if model is None or again or patience_s <= 0.0 or not self._taken(answer, name, started, key):
            prompt = judgement.prompt_of(model.spec.provider if model else "")
            return judgement.judgement(name, prompt, ScoreStatus.SKIPPED)
        found, error = await asked(model, answer, patience_s)
        request_id = answer.origin.request_id
        report(outcome(circuit(name), started=started, ended=self._clock.now(), request_id=request_id, error=error))
        return found

    def _patience_s(self, answer: Answer, at: datetime) -> float:
        left_s = (answer.origin.deadline - at).total_seconds() - LEFT_S
        return min(self._settings.judge_timeout_s, left_s)

    def _taken(self, answer: Answer, name: str, at: datetime, key: str) -> bool:
        """Whether this answer is in the share that is judged, and the judge's circuit lets the call through."""
        drawn = lot(judgement.NAME, answer.origin.request_id)
        return drawn < self._settings.judge_share and self._gate.lets_through(circuit(name), at, key)


async def asked(model: Model, answer: Answer, patience_s: float) -> tuple[Judgement, PipelineError | None]:
    """Return what a model says of an answer, and what kept it from saying so; a reply that is no score is no failure of the call."""
    name, prompt = model.spec.name, judgement.prompt_of(model.spec.provider)
    ask = judgement.ask(answer, prompt, model.tokenizer, model.spec.context_tokens)
    status, value = ScoreStatus.SKIPPED, 0.0
    if ask is None:
        error: PipelineError | None = ContextOverflow(f"the answer alone is longer than the window of {name}")
        return judgement.judgement(name, prompt, status), error
    error = None
    try:
        async with asyncio.timeout(patience_s):
            reply = await _reply(model, ask)
    except TimeoutError:
        status, error = ScoreStatus.TIMEOUT, ProviderUnavailable(f"{name} did not judge within {patience_s:.1f} s")
    except (Transient, ProviderRefused) as failure:
        error = failure
    else:
        found = judgement.read(reply, answer, prompt)
        status, value = (ScoreStatus.PARSE_ERROR, 0.0) if found is None else (ScoreStatus.SCORED, found)
    return judgement.judgement(name, prompt, status, value), error


def circuit(judge: str) -> str:
    """Return the name of a judge's circuit."""
    return f"{judgement.NAME}:{judge}"


async def _reply(model: Model, ask: Ask) -> str:
    """Return the whole reply. Raises Transient and ProviderRefused."""
    parts: list[str] = []
    ended = False
    async for piece in model.stream(ask):
        if isinstance(piece, Finish):
            ended = True
        else:
            parts.append(piece.text)
    if not ended:
        raise ProviderUnavailable(f"{model.spec.name} stopped before the end of its judgement")
    return "".join(parts)
