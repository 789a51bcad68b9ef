"""`forgestream tail`."""

from contextlib import aclosing, suppress
from enum import StrEnum
from typing import Annotated, Any

import typer

from schemas.codec import RecordUndecodable
from schemas.records import Result
from streams.settings import Settings
from topology.cli.arguments import topic_named
from topology.cli.console import Json, print_json_line, run, settings
from topology.cli.printable import printable
from topology.contract import open_schemas
from topology.plain import to_json
from topology.producing import request_id
from topology.reading import Decoder, Read, Span, open_reader
from topology.topics import Topics

EPILOG = """
**Examples**

`forgestream tail results` shows answers as they come; Ctrl-C ends it.

`forgestream tail texts requests prompts answers results --request 019ab...  --from beginning` follows one request.

`forgestream tail results --from beginning --no-follow --json | jq -r .record.status | sort | uniq -c`

Reads without a group: it commits nothing and disturbs nobody.
"""

LONGEST_LINE = 400


class Start(StrEnum):
    """Where reading begins."""

    BEGINNING = "beginning"
    END = "end"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("tail", epilog=EPILOG)
    def tail(
        names: Annotated[list[str], typer.Argument(metavar="TOPIC...", help="Topics to read.")],
        *,
        start: Annotated[Start, typer.Option("--from", help="Where reading begins.")] = Start.END,
        count: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
        request: Annotated[str | None, typer.Option(help="Only records of this request.")] = None,
        follow: Annotated[bool, typer.Option(help="Go on at the end of the topics.")] = True,
        as_json: Json = False,
    ) -> None:
        """Read topics and print their records as they come, decoded."""
        read = settings()
        span = Span(from_beginning=start is Start.BEGINNING, follow=follow)
        with suppress(KeyboardInterrupt):  # Ctrl-C is how a tail ends
            run(lambda: _tail(read, names, span, count=count, request=request, as_json=as_json))


async def _tail(
    settings: Settings, names: list[str], span: Span, *, count: int | None, request: str | None, as_json: bool
) -> None:
    topics = [topic_named(Topics.of(settings.kafka), name) for name in names]
    decoder = Decoder(await open_schemas(settings.registry, topics), topics)
    reader = await open_reader([topic.name for topic in topics], span, settings.kafka)
    printed = 0
    async with aclosing(reader.records()) as records:
        async for found in records:
            record, problem = await _decoded(decoder, found)
            if request is not None and request_id(record) != request:
                continue
            if as_json:
                print_json_line(_as_json(found, record, problem))
            else:
                typer.echo(printable(f"{_place(found)}  {problem or described(record)}"))
            printed += 1
            if printed == count:
                return


def described(record: object) -> str:
    """Return a record as one line for a person."""
    if record is None:
        return "(tombstone)"
    if isinstance(record, Result):
        said = record.text or "; ".join(error.message for error in record.errors)
        score = "" if record.overall is None else f" {record.overall:.2f}"
        sources = f" [{', '.join(source.document_id for source in record.sources)}]" if record.sources else ""
        return f"{record.origin.request_id} {record.status}{score}: {' '.join(said.split())}{sources}"
    text = to_json(record)
    return f"{type(record).__name__} {text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 3] + '...'}"


async def _decoded(decoder: Decoder, found: Read) -> tuple[Any, str]:
    try:
        return await decoder.record(found), ""
    except RecordUndecodable as error:
        return None, f"undecodable: {error}"


def _as_json(found: Read, record: object, problem: str) -> dict[str, Any]:
    return {
        "topic": found.topic,
        "partition": found.partition,
        "offset": found.offset,
        "timestamp": found.at,
        "key": found.key.decode("utf-8", "replace") if found.key is not None else None,
        "headers": {name: content.decode("utf-8", "replace") for name, content in found.headers},
        "record": found.value if problem else record,
        **({"problem": problem} if problem else {}),
    }


def _place(found: Read) -> str:
    key = found.key.decode("utf-8", "replace") if found.key is not None else "-"
    return f"{found.at:%H:%M:%S.%f}"[:12] + f" {found.topic}/{found.partition}@{found.offset} {key}"
