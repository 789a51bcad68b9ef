"""`forgestream ingest`."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from schemas.records import Domain, Invalidation, KnowledgeDocument
from schemas.registry import SchemaSource, serde
from streams.clients.pages import read_page
from streams.errors import PageUnavailable
from streams.settings import Settings
from topology.cli.console import FAILED, Json, print_json_line, run, say, settings
from topology.cli.progress import Steps
from topology.cluster import Cluster
from topology.contract import open_schemas
from topology.ingesting import STANDARD_INPUT, Choices, Source, document, read_file, sources
from topology.producing import Outgoing, deliver
from topology.reading import FROM_NOW, Decoder, Reader, open_reader
from topology.topics import DOCUMENT_BYTES, Topics

EPILOG = """
**Examples**

`forgestream ingest handbook.md notes/ 'reports/**/*.html'` sends files, all of a directory, all that match.

`forgestream ingest https://example.org/guide --domain literary --wait` reads a page, and waits until it can be found.

`pdftotext report.pdf - | forgestream ingest - --id report-2026 --title "Report 2026"` reads standard input.

`forgestream ingest --delete handbook.md` takes it out again, also when the file is gone.

The id of a document is made of where it comes from: sent again, it replaces itself. Text, Markdown and HTML are read.
"""
MOST_TOGETHER = 100  # documents of one sending
MOST_BYTES_TOGETHER = 16 * 1024 * 1024
HEADROOM = 64 * 1024  # of a record, for everything beside its text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """One document as it was sent."""

    document_id: str
    title: str
    source: str
    characters: int
    deleted: bool = False


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("ingest", epilog=EPILOG)
    def ingest(
        places: Annotated[
            list[str], typer.Argument(metavar="PATH|URL...", help="Files, directories, globs, addresses, or - .")
        ],
        *,
        domain: Annotated[Domain, typer.Option(help="Field the documents belong to.")] = Domain.GENERAL,
        tenant: Annotated[str, typer.Option(help="Who may see them.")] = "default",
        document_id: Annotated[str | None, typer.Option("--id", help="Id, of a single document.")] = None,
        title: Annotated[str | None, typer.Option(help="Title, of a single document.")] = None,
        media_type: Annotated[
            str | None, typer.Option("--type", help="text/plain, text/markdown or text/html; else by ending.")
        ] = None,
        delete: Annotated[bool, typer.Option("--delete", help="Take the documents out again.")] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check, send nothing.")] = False,
        wait: Annotated[bool, typer.Option("--wait", help="Wait until the documents can be found.")] = False,
        wait_s: Annotated[float, typer.Option("--within", min=1, help="With --wait: seconds to wait.")] = 120.0,
        as_json: Json = False,
    ) -> None:
        """Put documents where answers come from: text, Markdown and HTML from files, pages or standard input."""
        if media_type is not None and media_type not in {"text/plain", "text/markdown", "text/html"}:
            raise typer.BadParameter("--type is text/plain, text/markdown or text/html")
        choices = Choices(domain=domain, tenant=tenant, document_id=document_id, title=title, media_type=media_type)
        from_input = STANDARD_INPUT in places
        if from_input and (len(places) > 1 or document_id is None):
            raise typer.BadParameter("standard input is one document: give it alone, with --id")
        found = [] if from_input else _sources(places, existing=not delete)
        if (document_id or title) and len(found) > 1:
            raise typer.BadParameter(f"--id and --title are for a single document, not for {len(found)}")
        order = Order(found, choices, from_input=from_input, delete=delete, dry_run=dry_run, as_json=as_json)
        if not run(lambda: _ingested(order, settings(), wait_s if wait else 0.0)):
            raise typer.Exit(FAILED)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent, and how."""

    sources: Sequence[Source]
    choices: Choices
    from_input: bool
    delete: bool
    dry_run: bool
    as_json: bool


def _sources(places: Sequence[str], *, existing: bool) -> Sequence[Source]:
    try:
        return list(sources(places, existing=existing))
    except PageUnavailable as error:
        raise typer.BadParameter(error.message) from None


async def _ingested(order: Order, settings: Settings, wait_s: float) -> bool:
    """Read, send, and wait if asked to; False when a document was not sent or not indexed in time."""
    topics = Topics.of(settings.kafka)
    schemas = await open_schemas(settings.registry, topics)
    if not order.dry_run and topics.knowledge.name not in await Cluster(settings.kafka).topics():
        say(
            f"forgestream: {topics.knowledge.name} does not exist yet on {settings.kafka.bootstrap}: start a worker first"
        )
        return False
    awaiting = wait_s > 0 and not order.dry_run
    reader = await open_reader([topics.invalidations.name], FROM_NOW, settings.kafka) if awaiting else None
    with Steps() as steps:
        sending = _Sending(order, settings, schemas, topics, steps)
        await sending.all()
    say(sending.account())
    if reader is None:
        return sending.fine
    sent = {f"document:{each}" for each in sending.sent}
    with Steps() as steps:
        return await _found(reader, Decoder(schemas, [topics.invalidations]), sent, wait_s, steps) and sending.fine


class _Sending:
    """Reads one source after the other and sends the documents in lots."""

    def __init__(self, order: Order, settings: Settings, schemas: SchemaSource, topics: Topics, steps: Steps) -> None:
        self.sent: list[str] = []
        self.fine = True
        self._order = order
        self._settings = settings
        self._topic = topics.knowledge
        self._codec = serde(schemas, self._topic.name, self._topic.record)
        self._steps = steps
        self._total = len(order.sources) or 1
        self._lot: list[tuple[Outgoing, Ingested]] = []
        self._bytes = 0

    async def all(self) -> None:
        """Send everything; what cannot be read is named and left out."""
        order = self._order
        for at, source in enumerate(order.sources or [None]):
            self._steps.show(
                at, self._total, "deleting" if order.delete else "checking" if order.dry_run else "sending"
            )
            try:
                await self._take(source)
            except PageUnavailable as error:
                self.fine = False
                say(f"forgestream: {source.place if source else 'standard input'} {error.message}")
        await self._send()

    def account(self) -> str:
        """Say how many there were."""
        order, plural = self._order, "" if self._total == 1 else "s"
        done = "deleted" if order.delete else "read, nothing was sent" if order.dry_run else "sent"
        return f"{len(self.sent)} of {self._total} document{plural} {done}"

    async def _take(self, source: Source | None) -> None:
        if self._order.delete:
            document_id = self._order.choices.document_id or (source.document_id if source else "")
            shown = Ingested(
                document_id=document_id, title="", source=source.uri if source else "-", characters=0, deleted=True
            )
            outgoing = Outgoing(topic=self._topic.name, key=document_id.encode(), value=None)
        else:
            made = await _read(source, self._order.choices)
            value = self._codec.encode(made)
            if len(value) > DOCUMENT_BYTES - HEADROOM:
                raise PageUnavailable(
                    f"has {len(value):,} bytes; at most {DOCUMENT_BYTES - HEADROOM:,} are taken: divide it"
                )
            outgoing = Outgoing(topic=self._topic.name, key=made.document_id.encode(), value=value)
            shown = Ingested(
                document_id=made.document_id, title=made.title, source=made.source_uri or "-", characters=len(made.text)
            )
        self._lot.append((outgoing, shown))
        self._bytes += len(outgoing.value or b"")
        if len(self._lot) >= MOST_TOGETHER or self._bytes >= MOST_BYTES_TOGETHER:
            await self._send()

    async def _send(self) -> None:
        lot, self._lot, self._bytes = self._lot, [], 0
        if lot and not self._order.dry_run:
            await deliver([outgoing for outgoing, _ in lot], self._settings)
        for _, shown in lot:
            self.sent.append(shown.document_id)
            if self._order.as_json:
                print_json_line(shown)
            else:
                typer.echo(f"{shown.document_id}  {shown.title}".rstrip())


async def _read(source: Source | None, choices: Choices) -> KnowledgeDocument:
    now = datetime.now(UTC)
    if source is None:
        content = await asyncio.to_thread(sys.stdin.buffer.read, DOCUMENT_BYTES)
        try:
            return document(None, content.decode("utf-8-sig"), "text/plain", now, choices)
        except UnicodeDecodeError:
            raise PageUnavailable("is not text in UTF-8") from None
    if source.is_page:
        page = await read_page(source.place)
        return document(source, page.text, page.media_type, now, choices)
    text, media_type, changed = read_file(source)
    return document(source, text, media_type, changed, choices)


async def _found(reader: Reader, decoder: Decoder, awaited: set[str], wait_s: float, steps: Steps) -> bool:
    """Wait for the word that every document is indexed; False when it did not come in time."""
    total = len(awaited)
    steps.show(0, total, "indexing")
    try:
        async with asyncio.timeout(wait_s), aclosing(reader.records()) as records:
            while awaited:
                changed = await decoder.record(await anext(records))
                if isinstance(changed, Invalidation) and changed.subject in awaited:
                    awaited.remove(changed.subject)
                    steps.show(total - len(awaited), total, "indexing")
    except TimeoutError:
        say(
            f"forgestream: {len(awaited)} of {total} documents were not indexed within {wait_s:g} s; is a worker running?"
        )
        return False
    say(f"{total} document{'' if total == 1 else 's'} indexed")
    return True
