"""What the stage `route` does with a prompt, without a broker: plan, circuits, tokens, records."""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agents.route.asking import HedgeBudget, Means
from agents.route.logged import Noted
from agents.route.recall import Recall
from agents.route.routing import Routing, Sends
from agents.route.stream import TokenStream
from schemas.records import Effect
from streams.circuit import Gate
from streams.clients.answers import answers_of
from streams.clients.models.registry import models_of
from streams.clock import SystemClock
from streams.settings import RouteSettings, Settings
from tests.benchmarks.programs.open_loop import WARM_UP, paced, report
from tests.fakes.ports import LetterEncoder, RememberedEffects
from tests.given import a_prompt, a_request, an_origin


async def main(how: str, url: str, per_s: float, seconds: float) -> None:
    """Measure with the server at `url`, or with a model of this process that answers at once."""
    models = "echo,extractive" if how == "echo" else "compatible:instant,compatible:second"
    settings = RouteSettings(models=models, compatible_url=url, explore_share=0.0)
    clock, memory = SystemClock(), RememberedEffects()
    built = {model.spec.name: model for model in models_of(settings)}
    means = Means(
        models=built,
        circuits={},
        gate=Gate({}, 4),
        budget=HedgeBudget(settings.hedge_share),
        clock=clock,
        settings=settings,
    )
    whole = Settings()
    recall = Recall(answers_of(whole, clock), LetterEncoder(), clock, whole.cache)
    routing = Routing(means, recall, {}, whole.cache)

    async def confirmed(_: Effect) -> None:
        """Log nothing."""

    async def call(number: int) -> None:
        now = datetime.now(UTC)
        origin = replace(an_origin(f"request-{number}"), event_time=now, deadline=now + timedelta(seconds=60))
        prompt = a_prompt(request=a_request(f"Who wrote volume {number}?", origin=origin))
        stream = TokenStream(prompt, lambda _: None, clock, settings)
        noted = Noted(confirmed, lambda _: None, memory)
        with stream:
            sends = Sends(stream=stream, decision=lambda _: None, outcome=lambda _: None, noted=noted)
            await routing.answer(prompt, origin.request_id, None, sends)
        memory.known.clear()

    for number in range(WARM_UP):
        await call(-number)
    report(await paced(call, per_s, seconds))
    for model in built.values():
        await model.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
