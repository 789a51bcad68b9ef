"""`forgestream sessions` beside a worker: what is remembered of a conversation is shown, and forgotten by its tenant alone."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.records import Origin, TextQuery
from streams.clients.models.echo import Echo
from streams.clock import SystemClock
from tests.broker.deployed import deployed, on_broker
from tests.broker.test_command_line import Done, Shell
from tests.pipeline.world import SETTINGS, outside
from topology.topics import Topics


def asked_by(tenant: str) -> TextQuery:
    now = datetime.now(UTC)
    origin = Origin(
        request_id=f"request of {tenant}".replace(" ", "-"),
        correlation_id="c",
        session_id="talk",
        tenant=tenant,
        event_time=now,
        deadline=now + timedelta(seconds=60),
    )
    return TextQuery(origin=origin, query=f"Question of {tenant}?")


@pytest.mark.timeout(120)
async def test_a_conversation_is_shown_and_forgotten_for_its_tenant_alone(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    settings = on_broker(SETTINGS, kafka, namespace)
    shell = Shell(settings=settings, topics=Topics.of(settings.kafka))

    async def sessions(*arguments: str) -> Done:
        return await asyncio.to_thread(shell.run, "sessions", *arguments)

    async with deployed(settings, outside(Echo(), clock=SystemClock()), tmp_path) as pipeline:
        for tenant in "ab":
            await pipeline.put(pipeline.topics.texts, asked_by(tenant))
        await pipeline.settle()

        shown = json.loads((await sessions("show", "talk", "--tenant", "a", "--json")).stdout)
        table = await sessions("show", "talk", "--tenant", "b")
        forgotten = await sessions("forget", "talk", "--tenant", "a", "--reason", "asked to", "--by", "ada")
        gone = await sessions("show", "talk", "--tenant", "a")
        again = await sessions("forget", "talk", "--tenant", "a", "--reason", "asked to", "--by", "ada")
        wrong = await sessions("show", "a#talk")

        assert (shown["tenant"], [turn["query"] for turn in shown["turns"]]) == ("a", ["Question of a?"])
        assert "Question of b?" in table.stdout
        assert "Question of a?" not in table.stdout
        assert (forgotten.returncode, "1 turns are forgotten" in forgotten.stderr) == (0, True)
        assert (gone.returncode, "nothing is remembered" in gone.stderr) == (1, True)
        assert (again.returncode, "nothing was remembered" in again.stderr) == (0, True)
        assert (wrong.returncode, "--tenant" in wrong.stderr) == (2, True)
        assert set(pipeline.table("sessions")) == {"b#talk"}
        orders = pipeline.records(pipeline.topics.commands)
        assert [(order.subject, order.issued_by, order.reason) for order in orders] == [
            ("a#talk", "ada", "asked to")
        ] * 2
