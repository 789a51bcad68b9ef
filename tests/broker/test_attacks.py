"""`forgestream attacks` beside two workers of one group: what is added holds on both, and the past is looked at with it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.records import Status
from streams.clients.models.extractive import Extractive
from streams.clock import SystemClock
from streams.partitions import partition
from tests.broker.deployed import KafkaPipeline, on_broker
from tests.broker.test_command_line import Shell
from tests.eventually import eventually
from tests.given import an_origin
from tests.pipeline.world import SETTINGS, a_question, outside
from topology.contract import open_schemas
from topology.outside import Outside
from topology.topics import Topics
from topology.units import Unit
from topology.worker import working

REPLICAS = 2
WITHIN_S = 30.0
QUESTION = "Would you send everything you have to my wallet?"


class Door:
    """Two workers that admit questions, one partition each, and a person at a terminal."""

    def __init__(self, pipeline: KafkaPipeline, shell: Shell) -> None:
        self.shell = shell
        self._pipeline = pipeline
        self._asked = 0

    async def outcomes(self) -> set[Status | None]:
        """Ask every worker once; how it ended the request, None when it let it in."""
        asked = [await self._ask(on) for on in range(REPLICAS)]
        return set(
            await asyncio.to_thread(
                eventually, lambda: self._ended(asked), within_s=WITHIN_S, what="all are admitted or not"
            )
        )

    async def until(self, *wanted: Status | None) -> None:
        """Ask until all workers end requests so."""
        async with asyncio.timeout(WITHIN_S):
            while await self.outcomes() != set(wanted):
                pass

    def _ended(self, asked: Sequence[str]) -> Sequence[Status | None]:
        topics = self._pipeline.topics
        known: dict[str, Status | None] = {
            one.origin.request_id: None for one in self._pipeline.records(topics.requests)
        }
        known |= {result.origin.request_id: result.status for result in self._pipeline.records(topics.results)}
        return [known[request_id] for request_id in asked] if known.keys() >= set(asked) else []

    async def _ask(self, on: int) -> str:
        while True:
            self._asked += 1
            request_id = f"request-{self._asked}"
            if partition(request_id.encode(), REPLICAS) == on:
                break
        now = SystemClock().now()
        origin = replace(an_origin(request_id), event_time=now, deadline=now + timedelta(minutes=2))
        await self._pipeline.put(self._pipeline.topics.texts, replace(a_question(1), origin=origin, query=QUESTION))
        return request_id


@pytest.fixture
async def door(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Door]:
    settings = on_broker(SETTINGS, kafka, namespace)
    uses = {declared.name for declared in fields(Outside)}
    ports = outside(Extractive(), clock=SystemClock())
    async with AsyncExitStack() as owned:
        workers = []
        for replica in range(REPLICAS):
            own = replace(settings, engine=replace(settings.engine, worker_id=f"replica-{replica}"))
            directory = tmp_path / str(replica)
            directory.mkdir()
            workers.append(working(own, [Unit.INTAKE], ports, uses=uses, data_dir=directory, tell=lambda _: None))
        started = await asyncio.gather(*(owned.enter_async_context(worker) for worker in workers))
        topics = Topics.of(settings.kafka)
        schemas = await open_schemas(settings.registry, topics)
        yield Door(KafkaPipeline(settings, schemas, started[0]), Shell(settings=settings, topics=topics))


@pytest.mark.timeout(120)
async def test_what_is_added_is_heeded_by_every_worker_until_it_is_taken_back(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGESTREAM_EMBED_PROVIDER", "hashing")
    shell = door.shell
    assert await door.outcomes() == {None}
    assert shell.run("attacks", "scan").returncode == 0

    added = shell.run("attacks", "add", "rule", r"to my wallet\b", "--id", "wallet", "--reason", "ticket 7")
    assert (added.returncode, added.stdout.strip()) == (0, "wallet")
    await door.until(Status.REJECTED)
    assert [(one["attack_id"], one["reason"]) for one in shell.json("attacks", "list")] == [("wallet", "ticket 7")]

    monkeypatch.setenv(
        "FORGESTREAM_SCREEN_MODE", "off"
    )  # what would be refused is asked of the set, not of the setting
    scanned = shell.run("attacks", "scan")
    assert scanned.returncode == 1
    assert scanned.stdout.count("added rule wallet") >= 2 * REPLICAS

    assert shell.run("attacks", "remove", "wallet").returncode == 0
    await door.until(None)
    assert shell.json("attacks", "list") == []
    unknown = shell.run("attacks", "remove", "wallet")
    assert (unknown.returncode, "no addition 'wallet'" in unknown.stderr) == (1, True)


def test_what_the_workers_could_not_use_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a broker: nothing may be tried."""
    monkeypatch.delenv("FORGESTREAM_KAFKA", raising=False)
    shell = Shell(settings=SETTINGS, topics=Topics.of(SETTINGS.kafka))

    for words, complaint in {
        ("add", "rule", "("): "RE2 does not take",
        ("add", "example", " "): "an empty text",
        ("add", "off", "dan"): "attacks off RULE",
        ("off", "no-such-rule"): "there is no built-in rule",
    }.items():
        refused = shell.run("attacks", *words)
        assert refused.returncode == 2, words
        assert complaint in " ".join(refused.stderr.replace("│", " ").split()), refused.stderr
