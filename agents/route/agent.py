"""Wiring of route."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from agents.route import once
from agents.route.aloud import Aloud
from agents.route.asking import HedgeBudget, Means
from agents.route.logged import Noted
from agents.route.recall import Recall
from agents.route.routing import Routing, Sends
from agents.route.stream import TokenStream
from schemas.records import Answer, CircuitState, Decision, Effect, Outcome, Prompt, Ranking, SpeechRequest, TokenEvent
from streams.answers import AnswerMemory
from streams.app import App
from streams.circuit import Gate
from streams.emit import Emit
from streams.ports import Clock, EffectMemory, Encoder, Model
from streams.settings import CacheSettings, RouteSettings, SynthesizeSettings
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
    speech_requests: Topic[SpeechRequest],
    memory: EffectMemory,
    answers: AnswerMemory,
    encoder: Encoder,
    models: Sequence[Model],
    champions: Mapping[str, Ranking],
    circuits: Mapping[str, CircuitState],
    clock: Clock,
    settings: RouteSettings,
    caching: CacheSettings,
    speaking: SynthesizeSettings,
) -> None:
    """Answer prompts by models, or by what is known already; what is to be spoken is begun while it is being written."""
    means = Means(
        models={model.spec.name: model for model in models},
        circuits=circuits,
        gate=Gate(circuits, reads.partitions),
        budget=HedgeBudget(settings.hedge_share),
        clock=clock,
        settings=settings,
    )
    routing = Routing(means, Recall(answers, encoder, clock, caching), champions, caching)

    @app.stage(reads, name=once.STAGE)
    async def route(prompt: Prompt, emit: Emit) -> None:
        before = await memory.find(once.effect_id(prompt.origin))
        aloud = Aloud(prompt, partial(emit.now, speech_requests), speaking)
        stream = TokenStream(
            prompt,
            partial(emit.now, tokens),
            clock,
            settings,
            first_epoch=once.epochs(before),
            heard=aloud.hear,
        )
        sends = Sends(
            stream=stream,
            decision=partial(emit.now, decisions),
            outcome=partial(emit.now, outcomes),
            noted=Noted(partial(emit.confirmed, effects), partial(emit.now, effects), memory),
        )
        with stream:
            answer = await routing.answer(prompt, reads.key(prompt), before, sends)
            emit(writes, replace(answer, begun=aloud.begun))
