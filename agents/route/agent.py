"""Wiring of route."""

from collections.abc import Mapping, Sequence
from functools import partial

from agents.route import once, rules
from agents.route.attempt import Noted, answered, asked_once
from agents.route.stream import TokenStream
from schemas.records import Answer, CircuitState, Decision, Effect, Outcome, Prompt, Ranking, TokenEvent
from streams.app import App
from streams.circuit import Gate
from streams.emit import Emit
from streams.ports import Clock, EffectMemory, Model
from streams.settings import RouteSettings
from streams.topic import Topic


def attach(
    app: App,
    *,
    reads: Topic[Prompt],
    writes: Topic[Answer],
    tokens: Topic[TokenEvent],
    decisions: Topic[Decision],
    outcomes: Topic[Outcome],
    effects: Topic[Effect],
    memory: EffectMemory,
    models: Sequence[Model],
    champions: Mapping[str, Ranking],
    circuits: Mapping[str, CircuitState],
    clock: Clock,
    settings: RouteSettings,
) -> None:
    """Ask the models of the plan one after the other until one has answered; what is known already is said again."""
    catalogue = {model.spec.name: model for model in models}
    specs = [model.spec for model in models]
    gate = Gate(circuits, reads.partitions)

    @app.stage(reads, name=once.STAGE)
    async def route(prompt: Prompt, emit: Emit) -> None:
        before = await memory.find(once.effect_id(prompt.origin))
        stream = TokenStream(prompt.origin, partial(emit.now, tokens), clock, settings, first_epoch=once.epochs(before))
        with stream:
            if before is not None and before.answer is not None:
                stream.whole(before.answer.text)
                emit(writes, before.answer)
                return
            ranking = champions.get(rules.cell(prompt.request))
            now = clock.now()
            plan = rules.plan(prompt, specs, ranking, gate.look(list(catalogue), now, reads.key(prompt)), settings)
            if plan.chain:
                gate.take(plan.chain[0].name, now)
            emit.now(decisions, rules.decided(prompt, plan, now))
            answer = await asked_once(
                prompt,
                plan,
                before,
                lambda: answered(prompt, plan, catalogue, stream, partial(emit.now, outcomes), clock),
                Noted(partial(emit.confirmed, effects), partial(emit.now, effects), memory),
                clock,
            )
            emit(writes, answer)
