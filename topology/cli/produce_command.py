"""`forgestream produce`."""

import asyncio
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from schemas.ids import RANDOM_BYTES
from schemas.records import Result, Status
from streams.settings import Settings
from streams.topic import Topic
from topology.cli.arguments import topic_named
from topology.cli.console import FAILED, Json, print_json_line, run, say, settings
from topology.cli.tail_command import described
from topology.cluster import Cluster
from topology.contract import open_schemas
from topology.plain import to_json
from topology.producing import Outgoing, deliver, origin, prepared
from topology.reading import FROM_NOW, Decoder, Reader, open_reader
from topology.topics import Topics

EPILOG = """
**Examples**

`forgestream produce texts --query "Why does Ahab hunt the whale?" --wait` asks, and prints the answer.

`echo '{"query": "How many hearts has an octopus?", "origin": {"session_id": "s-1"}}' | forgestream produce texts`

`forgestream produce knowledge < documents.jsonl` sends one record per line.

`forgestream produce knowledge --delete moby-dick` sends a tombstone.

What is left out of `origin` is filled in: a new request id, the time, the deadline of FORGESTREAM_ADMIT_DEADLINE_S.

All lines are checked before the first is sent; the command ends when the broker has confirmed every record.
"""


GRACE_S = 10.0  # an expiry is written after the deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One record as the broker confirmed it."""

    topic: str
    partition: int
    offset: int
    key: str | None
    request_id: str | None


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("produce", epilog=EPILOG)
    def produce(
        topic_name: Annotated[str, typer.Argument(metavar="TOPIC", help="Topic to write to, e.g. texts or knowledge.")],
        *,
        query: Annotated[str | None, typer.Option(help="Ask this, instead of reading lines.")] = None,
        domain: Annotated[str | None, typer.Option(help="With --query: literary, market or general.")] = None,
        task: Annotated[str | None, typer.Option(help="With --query: analysis, generation or reasoning.")] = None,
        session: Annotated[str | None, typer.Option(help="With --query: the conversation it belongs to.")] = None,
        model: Annotated[str | None, typer.Option(help="With --query: this model and no other.")] = None,
        delete: Annotated[str | None, typer.Option(metavar="KEY", help="Send a tombstone for this key.")] = None,
        wait: Annotated[bool, typer.Option("--wait", help="Wait for the results and print them too.")] = False,
        as_json: Json = False,
    ) -> None:
        """Send records: JSON lines from standard input, or one --query. Prints what the broker confirmed."""
        read = settings()
        topics = Topics.of(read.kafka)
        topic = topic_named(topics, topic_name)
        if topic.record is bytes:
            raise typer.BadParameter(f"{topic.name} is written by the engine; see `forgestream dead-letters redrive`")
        if query is not None and topic is not topics.texts:
            raise typer.BadParameter("--query is for the topic texts; other topics take JSON lines on standard input")
        if delete is not None and not topic.compacted:
            raise typer.BadParameter(f"--delete is for compacted topics; {topic.name} is not one")
        lines: Iterable[bytes] = sys.stdin.buffer
        if query is not None:
            lines = [_question(query, domain=domain, task=task, session_id=session, model=model)]
        answered = run(lambda: _produce(read, topic, lines, delete=delete, wait=wait, as_json=as_json))
        if not answered:
            raise typer.Exit(FAILED)


async def _produce(
    settings: Settings, topic: Topic[Any], lines: Iterable[bytes], *, delete: str | None, wait: bool, as_json: bool
) -> bool:
    """Send, print, and wait if asked to. Returns False when a result says that a request got no answer."""
    topics = Topics.of(settings.kafka)
    schemas = await open_schemas(settings.registry, topics)
    if delete is None:
        records = prepared(topic, lines, schemas, lambda: _origin(settings))
    else:
        records = [Outgoing(topic=topic.name, key=delete.encode(), value=None)]
    existing = await Cluster(settings.kafka).topics()
    if topic.name not in existing:
        say(f"forgestream: {topic.name} does not exist yet on {settings.kafka.bootstrap}: start a worker first")
        return False
    awaited = {record.request_id for record in records if record.request_id is not None} if wait else set()
    reader = await open_reader([topics.results.name], FROM_NOW, settings.kafka) if awaited else None
    _print_sent(records, await deliver(records, settings), as_json=as_json)
    if reader is None:
        return True
    patience_s = settings.admit.deadline_s + GRACE_S
    try:
        async with asyncio.timeout(patience_s):
            return await _awaited(reader, Decoder(schemas, [topics.results]), awaited, as_json=as_json)
    except TimeoutError:
        say(f"forgestream: {len(awaited)} results did not come within {patience_s:g} s; is a worker running?")
        return False


async def _awaited(reader: Reader, decoder: Decoder, awaited: set[str], *, as_json: bool) -> bool:
    """Print the results of these requests; False when one of them is no answer."""
    fine = True
    async with aclosing(reader.records()) as results:
        async for found in results:
            record = await decoder.record(found)
            if isinstance(record, Result) and record.origin.request_id in awaited:
                awaited.remove(record.origin.request_id)
                fine = fine and record.status in {Status.OK, Status.DEGRADED}
                typer.echo(to_json(record) if as_json else described(record))
            if not awaited:
                break
    return fine


def _print_sent(records: Sequence[Outgoing], places: Sequence[tuple[int, int]], *, as_json: bool) -> None:
    for record, (partition, offset) in zip(records, places, strict=True):
        key = record.key.decode("utf-8", "replace") if record.key is not None else None
        if as_json:
            print_json_line(
                Sent(topic=record.topic, partition=partition, offset=offset, key=key, request_id=record.request_id)
            )
        else:
            typer.echo(record.request_id or key)
    say(f"{len(records)} record{'' if len(records) == 1 else 's'} confirmed by the broker")


def _question(query: str, **given: str | None) -> bytes:
    values: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    session_id = values.pop("session_id", None)
    if session_id is not None:
        values["origin"] = {"session_id": session_id}
    return to_json({"query": query, **values}).encode()


def _origin(settings: Settings) -> Mapping[str, str]:
    return origin(datetime.now(UTC), secrets.token_bytes(RANDOM_BYTES), deadline_s=settings.admit.deadline_s)
