"""A process with some units in it: opens what their stages use, makes their topics, runs one Faust app per unit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from schemas.records import Effect, Invalidation, Result
from schemas.registry import SchemaSource, serde
from streams.app import App
from streams.clients.answers import AnswerCache
from streams.clients.models.keys import Account
from streams.clients.models.registry import accounts
from streams.effects import Effects, KafkaEffectLog
from streams.engine import Runtime
from streams.errors import DeliveryFailed, PipelineError, StartRefused
from streams.past import KafkaResultLog, Past
from streams.ports import Model
from streams.producer import LibrdkafkaProducer
from streams.settings import Settings
from streams.topic import Topic
from streams.tracing import open_tracing
from streams.views import View
from topology.contract import open_schemas
from topology.graph import attach_unit
from topology.health import Metric, health_port
from topology.outside import VIEWED, Outside, Tell, views
from topology.provision import plan_of, plan_of_changelog, provision
from topology.topics import Topics
from topology.units import Unit
from topology.webhook import webhook

log = logging.getLogger("forgestream.worker")

LEAVE_S = 5.0  # to commit and leave the group, once nothing is under way


class Worker:
    """The running units of this process."""

    def __init__(
        self,
        apps: Mapping[Unit, App],
        models: Iterable[Model],
        *,
        stop_s: float,
        answers: AnswerCache | None = None,
    ) -> None:
        self.apps = apps
        self._models = tuple(models)
        self._answers = answers
        self._stop_s = stop_s
        self._started: set[Unit] = set()

    async def start(self) -> None:
        """Start every unit; returns when all have recovered their tables."""
        await asyncio.gather(*(self._start(unit, app) for unit, app in self.apps.items()))

    async def stop(self) -> None:
        """Finish what is under way within the settings' budget, commit, leave the groups.

        Units that cannot leave, because the broker is gone, are left behind: what they had not committed is read again.
        """
        try:
            async with asyncio.timeout(self._stop_s):
                ends = await asyncio.gather(*(app.stop() for app in self.apps.values()), return_exceptions=True)
            for unit, end in zip(self.apps, ends, strict=True):
                if isinstance(end, BaseException):
                    log.error("unit %s did not stop cleanly: %r", unit, end)
        except TimeoutError:
            log.error("the units did not stop within %.0f s and are abandoned", self._stop_s)  # noqa: TRY400 - no stack needed

    async def wait(self) -> None:
        """Return when a unit has stopped by itself.

        Raises:
            PipelineError: it crashed.
        """
        waiting = [asyncio.ensure_future(app.wait_until_stopped()) for app in self.apps.values()]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        for unit, app in self.apps.items():
            reason = app.crash_reason
            if isinstance(reason, PipelineError):
                raise reason
            if reason is not None:
                raise PipelineError(f"unit {unit} crashed: {type(reason).__name__}: {reason}") from reason

    def ailments(self) -> Sequence[str]:
        """Return what only a restart cures."""
        return [f"unit {unit} crashed: {app.crash_reason}" for unit, app in self.apps.items() if app.crashed]

    def missing(self) -> Sequence[str]:
        """Return which units do not take records yet."""
        return [f"unit {unit} is starting" for unit in self.apps if unit not in self._started]

    def metrics(self) -> Iterable[Metric]:
        """Return what every stage has done and holds."""
        for unit, app in self.apps.items():
            for stage, counts in app.engine.counts().items():
                for declared in fields(counts):
                    yield Metric(
                        name="forgestream_records_total",
                        kind="counter",
                        value=getattr(counts, declared.name),
                        labels={"unit": unit, "stage": stage, "outcome": declared.name},
                        meaning="Records by what became of them",
                    )
            yield from counted_metrics(app.counted)
            for tp, held in app.engine.held().items():
                yield Metric(
                    name="forgestream_records_under_way",
                    value=held,
                    labels={"unit": unit, "topic": tp.topic, "partition": str(tp.partition)},
                    meaning="Records taken and not yet done",
                )
        yield from key_metrics(accounts(self._models))
        if self._answers is not None:
            yield from cache_metrics(self._answers.counts)

    async def _start(self, unit: Unit, app: App) -> None:
        await app.start()
        if app.crash_reason is not None:
            raise StartRefused(f"unit {unit} cannot start: {app.crash_reason}") from app.crash_reason
        self._started.add(unit)


def counted_metrics(counted: Mapping[str, Any]) -> Iterable[Metric]:
    """Yield what stages count beside their records."""
    for name, counts in counted.items():
        for declared in fields(counts):
            yield Metric(
                name=f"forgestream_{name}_total",
                kind="counter",
                value=getattr(counts, declared.name),
                labels={"outcome": declared.name},
                meaning=f"What was done with {name}; see docs/context.md",
            )


def key_metrics(found: Iterable[Account]) -> Iterable[Metric]:
    """Yield what every API key has done; a key is named by its place in the settings."""
    for account in found:
        labels = {"provider": account.provider, "key": str(account.key)}
        numbers = {
            "calls": (account.calls, "Calls of a model provider"),
            "input_tokens": (account.input_tokens, "Tokens of prompts"),
            "output_tokens": (account.output_tokens, "Tokens of answers"),
        }
        for name, (value, meaning) in numbers.items():
            metric = f"forgestream_provider_{name}_total"
            yield Metric(name=metric, kind="counter", value=value, labels=labels, meaning=f"{meaning}, by API key")
        for code, count in account.errors.items():
            yield Metric(
                name="forgestream_provider_errors_total",
                kind="counter",
                value=count,
                labels={**labels, "error": code},
                meaning="Failed calls of a model provider, by API key",
            )


def cache_metrics(counts: Mapping[str, int]) -> Iterable[Metric]:
    """Yield how questions met answers that were given before; of those verified, how many were false."""
    for what, count in counts.items():
        yield Metric(
            name="forgestream_cache_answers_total",
            kind="counter",
            value=count,
            labels={"outcome": what},
            meaning="Questions by hit (exact, semantic, in_flight) or miss; semantic hits verified, and false ones among those",
        )


@asynccontextmanager
async def working(
    settings: Settings,
    units: Collection[Unit],
    outside: Outside,
    *,
    uses: Collection[str],
    data_dir: Path,
    tell: Tell,
) -> AsyncIterator[Worker]:
    """Run `units` on `settings.kafka` while the block runs; ready when the block is entered.

    Raises:
        StartRefused: the broker or a topic is not as it must be.
    """
    topics = Topics.of(settings.kafka)
    schemas = await open_schemas(settings.registry, topics)
    async with AsyncExitStack() as owned:
        producer = LibrdkafkaProducer(settings.kafka, settings.engine)
        owned.push_async_callback(producer.close, settings.engine.drain_s)
        runtime = Runtime(
            settings=settings,
            schemas=schemas,
            producer=producer,
            clock=outside.clock,
            dead_letters=topics.dead_letters,
            results=topics.results,
            tracing=open_tracing(settings.telemetry, "-".join(sorted(units))),
        )
        viewed: dict[str, Any] = {
            port: View(topic, serde(schemas, topic.name, topic.record), settings.kafka, prefix=VIEWED.get(port, ""))
            for port, topic in views(topics).items()
            if port in uses
        }
        known = Effects(
            KafkaEffectLog(topics.effects.name, settings.engine, settings.kafka),
            serde(schemas, topics.effects.name, Effect),
            settings.engine,
        )
        past = Past(
            KafkaResultLog(topics.results.name, settings.kafka),
            topics.results,
            serde(schemas, topics.results.name, Result),
        )
        outside = replace(outside, **viewed, effects=known, past=past)
        apps = {unit: App(unit, runtime) for unit in units}
        for unit, app in apps.items():
            app.conf.datadir = data_dir / f"faust-{unit}"  # Faust makes directories even for tables in memory
            attach_unit(unit, app, topics, outside, settings)
        await _make_topics(apps.values(), topics, schemas, settings, tell)
        for view in viewed.values():
            owned.push_async_callback(_close, view)
            await view.start()
        worker = Worker(
            apps,
            outside.models,
            stop_s=settings.engine.drain_s + LEAVE_S,
            answers=outside.answers if isinstance(outside.answers, AnswerCache) else None,
        )
        await owned.enter_async_context(health_port(settings.telemetry, worker))
        if "packs" in uses:
            announce = partial(_announced, producer, topics.invalidations, schemas)
            await owned.enter_async_context(webhook(settings.dataforge, announce, outside.clock))
        owned.push_async_callback(worker.stop)
        await worker.start()
        yield worker


async def _close(view: View[Any]) -> None:
    """Close a view; without a broker aiokafka cancels its own closing, which must not look like ours."""
    await asyncio.gather(view.close(), return_exceptions=True)


async def _announced(
    producer: LibrdkafkaProducer, topic: Topic[Invalidation], schemas: SchemaSource, changed: Invalidation
) -> None:
    """Put a change on its topic; returns when the broker has it. Raises DeliveryFailed."""
    delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_delivery(error: object, _: object) -> None:
        if delivered.done():  # nobody waits any more
            return
        if error is None:
            delivered.set_result(None)
        else:
            delivered.set_exception(DeliveryFailed(f"the broker did not take an invalidation: {error}"))

    value, key = serde(schemas, topic.name, topic.record).encode(changed), topic.key(changed).encode()
    producer.produce(topic.name, value, key, on_delivery=on_delivery, headers=(), awaited=True)
    await delivered


async def _make_topics(
    apps: Collection[App], topics: Topics, schemas: SchemaSource, settings: Settings, tell: Tell
) -> None:
    changelogs = {app.changelog_name(name): record for app in apps for name, record in app.owned_tables.items()}
    await schemas.start({f"{name}-value": record for name, record in changelogs.items()})
    plans = [plan_of(topic, settings.kafka) for topic in topics]
    plans += [plan_of_changelog(name, settings.kafka) for name in changelogs]
    made = await provision(plans, settings.kafka)
    tell(f"{len(made)} topics created, {len(plans) - len(made)} there already")
