"""Questions at a steady rate, in real time, to providers on loopback that speak their real protocols and behave badly."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import quantiles

from schemas.records import Status
from streams.settings import Settings
from tests.given import an_origin
from tests.loopback.cases import Case, opened
from tests.loopback.faults import Fault
from tests.pipeline.world import a_question, outside
from topology.memory import MemoryPipeline
from topology.memory_logs import Stored
from topology.units import Unit

PROVIDERS = ("anthropic", "openai", "ollama")  # in the order of the chain
UNITS = tuple(unit for unit in Unit if unit is not Unit.LEARNING)  # without champions the order stays as it is
GOOD = {Status.OK, Status.DEGRADED}
LATE_S = 0.1  # after its deadline a result is late; before that, this machine was


class Now:
    """The real time; engines that pause between tries do not wait."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        """Time passes by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How each provider behaves, those well left out; `any_well` says whether one of them can answer at every moment."""

    name: str
    moods: Mapping[str, Callable[[], Fault | None]]
    thinks: Mapping[str, float]
    any_well: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What became of the questions."""

    name: str
    asked: int
    statuses: Mapping[str, int]
    results: int
    late: int
    latencies_ms: Sequence[float]
    hedges: int
    calls: Mapping[str, int]

    @property
    def errors(self) -> int:
        """Questions without an answer."""
        return self.asked - sum(count for status, count in self.statuses.items() if status in GOOD)

    def percentile_ms(self, percent: int) -> float:
        """Latency that so many of a hundred results did not exceed."""
        return quantiles(self.latencies_ms, n=100, method="inclusive")[percent - 1]


def always(fault: Fault) -> Callable[[], Fault | None]:
    """Return the mood of a provider that always fails the same way."""
    return lambda: fault


def flapping(period_s: float) -> Callable[[], Fault | None]:
    """Return the mood of a provider that is well and down by turns."""
    return lambda: Fault.UNAVAILABLE if int(time.monotonic() / period_s) % 2 else None


def weathers(slow_s: float, period_s: float) -> Sequence[Weather]:
    """Return every weather that the router must stand."""
    down = {kind: always(Fault.UNAVAILABLE) for kind in PROVIDERS}
    return (
        Weather(name="all well", moods={}, thinks={}),
        Weather(name="first down", moods={"anthropic": always(Fault.OVERLOADED)}, thinks={}),
        Weather(name="first slow", moods={}, thinks={"anthropic": slow_s}),
        Weather(name="first silent", moods={"anthropic": always(Fault.SILENCE)}, thinks={}),
        Weather(name="first flapping", moods={"anthropic": flapping(period_s)}, thinks={}),
        Weather(name="first fails in mid-stream", moods={"anthropic": always(Fault.RESET)}, thinks={}),
        Weather(
            name="first flapping, second fails in mid-stream",
            moods={"anthropic": flapping(period_s), "openai": always(Fault.ERROR_IN_STREAM)},
            thinks={},
        ),
        Weather(name="all down", moods=down, thinks={}, any_well=False),
    )


async def blown(weather: Weather, *, per_s: float, seconds: float, deadline_s: float, settings: Settings) -> Storm:
    """Ask for so many seconds and return what came of it, when everything has ended."""
    async with AsyncExitStack() as stack:
        cases = {kind: await stack.enter_async_context(opened(kind)) for kind in PROVIDERS}
        for kind, case in cases.items():
            case.server.mood = weather.moods.get(kind, lambda: None)
            case.server.thinks_s = weather.thinks.get(kind, 0.0)
        models = [await stack.enter_async_context(case.model(first_token_s=1.0)) for case in cases.values()]
        pipeline = MemoryPipeline(settings, outside(*models, clock=Now()), clock=Now(), units=UNITS)
        async with pipeline:
            arrived = _arrivals(pipeline)
            asked = int(per_s * seconds)
            feeding = asyncio.ensure_future(_feed(pipeline, asked, per_s, deadline_s))
            while not feeding.done() or await pipeline.settle():
                await pipeline.settle()
                await asyncio.sleep(0.001)
            feeding.result()
            return _seen(weather, pipeline, cases, asked, arrived)


async def _feed(pipeline: MemoryPipeline, asked: int, per_s: float, deadline_s: float) -> None:
    began = time.monotonic()
    for number in range(asked):
        await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
        now = datetime.now(UTC)
        origin = replace(an_origin(f"request-{number}"), event_time=now, deadline=now + timedelta(seconds=deadline_s))
        question = a_question(number, f"Who wrote volume {number} of Frankenstein?")
        await pipeline.put(pipeline.topics.texts, replace(question, origin=origin, max_tokens=8))


def _arrivals(pipeline: MemoryPipeline) -> list[tuple[float, Stored]]:
    """Return the results with the seconds since 1970 at which they were stored, as they come."""
    arrived: list[tuple[float, Stored]] = []
    told = pipeline.logs.on_stored

    def on_stored(stored: Stored) -> None:
        if stored.topic == pipeline.topics.results.name:
            arrived.append((time.time(), stored))
        told(stored)

    pipeline.logs.on_stored = on_stored
    return arrived


def _seen(
    weather: Weather,
    pipeline: MemoryPipeline,
    cases: Mapping[str, Case],
    asked: int,
    arrived: Sequence[tuple[float, Stored]],
) -> Storm:
    places = {(stored.partition, stored.offset): at for at, stored in arrived}
    topic = pipeline.topics.results
    ended = [
        (result, places[stored.partition, stored.offset])
        for result, stored in zip(pipeline.records(topic), pipeline.stored(topic), strict=True)
    ]
    late = [at for result, at in ended if at > result.origin.deadline.timestamp() + LATE_S]
    outcomes = pipeline.records(pipeline.topics.outcomes)
    return Storm(
        name=weather.name,
        asked=asked,
        statuses=Counter(result.status for result in {one.origin.request_id: one for one, _ in ended}.values()),
        results=len(ended),
        late=len(late),
        latencies_ms=[1000 * (at - result.origin.event_time.timestamp()) for result, at in ended],
        hedges=sum(outcome.error_code == "hedge_lost" for outcome in outcomes),
        calls={kind: len(case.server.calls) for kind, case in cases.items()},
    )
