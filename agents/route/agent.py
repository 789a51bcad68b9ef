"""Wiring of route."""

from collections.abc import Mapping, Sequence

from agents.route import rules
from agents.route.attempt import answered
from agents.route.stream import TokenStream
from schemas.records import Answer, CircuitState, Decision, Outcome, Prompt, Ranking, TokenEvent
from streams.app import App
from streams.circuit import Gate
from streams.emit import Emit
from streams.ports import Clock, Model
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
    models: Sequence[Model],
    champions: Mapping[str, Ranking],
    circuits: Mapping[str, CircuitState],
    clock: Clock,
    settings: RouteSettings,
) -> None:
    """Ask the models of the plan one after the other until one has answered."""
    catalogue = {model.spec.name: model for model in models}
    specs = [model.spec for model in models]
    gate = Gate(circuits, reads.partitions)

    @app.stage(reads, name="route")
    async def route(prompt: Prompt, emit: Emit) -> None:
        ranking = champions.get(rules.cell(prompt.request))
        now = clock.now()
        plan = rules.plan(prompt, specs, ranking, gate.look(list(catalogue), now, reads.key(prompt)), settings)
        if plan.chain:
            gate.take(plan.chain[0].name, now)
        emit.now(decisions, rules.decided(prompt, plan, now))
        stream = TokenStream(prompt.origin, lambda event: emit.now(tokens, event), clock, settings)
        with stream:
            said = await answered(prompt, plan, catalogue, stream, lambda outcome: emit.now(outcomes, outcome), clock)
            emit(writes, rules.answer(prompt, plan, said))
