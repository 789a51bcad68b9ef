"""`forgestream dead-letters`."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated

import typer

from streams.settings import Settings
from topology.cli.console import FAILED, Json, print_json, print_table, run, say, settings
from topology.letters import Letter, grouped, letter_of, redriven
from topology.producing import Outgoing, deliver
from topology.reading import Read, Span, open_reader
from topology.topics import Topics

EPILOG = """
**Examples**

`forgestream dead-letters list` groups what failed by error code and stage; docs/errors.md says what each code means.

`forgestream dead-letters list --each --code undecodable` lists single letters with their ids.

`forgestream dead-letters show 2@15` shows the original bytes and headers, and the stack trace.

`forgestream dead-letters redrive --code store_unavailable` sends them back to the topics they came from.

A redriven record keeps its key, bytes and headers. Its letter stays until its retention ends, so redrive once.

A request whose deadline has passed expires again: its asker has had a terminal result.
"""

HEX_BYTES = 512

Code = Annotated[str | None, typer.Option("--code", help="Only letters with this error code.")]
Stage = Annotated[str | None, typer.Option("--stage", help="Only letters of this stage.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    letters = typer.Typer(
        help="What failed: list, show, and send it back to where it came from.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )

    letters.command("list", epilog=EPILOG)(list_letters)
    letters.command("show", epilog=EPILOG)(show)
    letters.command("redrive", epilog=EPILOG)(redrive)
    app.add_typer(letters, name="dead-letters")


def list_letters(
    *,
    code: Code = None,
    stage: Stage = None,
    each: Annotated[bool, typer.Option("--each", help="One line per letter instead of groups.")] = False,
    as_json: Json = False,
) -> None:
    """Dead letters by error code and stage, or each of them."""
    found = [letter_of(read) for read in run(lambda: _letters(settings(), _chosen(code, stage)))]
    if each:
        _print_each(found, as_json=as_json)
    elif as_json:
        print_json(grouped(found))
    else:
        print_table(
            f"{len(found)} dead letters",
            ["count#", "error code", "stage", "topics", "newest", "newest message"],
            [
                [str(g.count), g.error_code, g.stage, ", ".join(g.topics), g.newest, _line(g.message)]
                for g in grouped(found)
            ],
        )


def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As listed: partition@offset.")],
    *,
    as_json: Json = False,
) -> None:
    """One dead letter: why it failed, its original headers and bytes."""
    found = run(lambda: _letters(settings(), lambda letter: letter.letter_id == letter_id))
    if not found:
        say(f"forgestream: there is no dead letter {letter_id}; `forgestream dead-letters list --each` lists them")
        raise typer.Exit(FAILED)
    letter = letter_of(found[0])
    if as_json:
        print_json(letter)
    else:
        _print_letter(letter)


def redrive(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Letters as listed.")] = None,
    *,
    code: Code = None,
    stage: Stage = None,
    everything: Annotated[bool, typer.Option("--all", help="Every letter there is.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    as_json: Json = False,
) -> None:
    """Send dead letters back to the topics they came from, with their original key, bytes and headers."""
    if not (ids or code or stage or everything):
        raise typer.BadParameter("say which letters: ids, --code, --stage or --all")
    by_reason = _chosen(code, stage)
    sent, left = run(
        lambda: _redrive(
            settings(), lambda letter: by_reason(letter) and (not ids or letter.letter_id in ids), dry_run=dry_run
        )
    )
    if as_json:
        print_json({"redriven": [letter.letter_id for letter in sent], "left": left, "dry_run": dry_run})
    else:
        _print_each(sent, as_json=False)
        say(
            f"{len(sent)} {'would be ' if dry_run else ''}sent back"
            + (f", {len(left)} name no topic of ours: {', '.join(left)}" if left else "")
        )
    if left or (ids and len(sent) < len(ids)):
        raise typer.Exit(FAILED)


def _chosen(code: str | None, stage: str | None) -> Callable[[Letter], bool]:
    return lambda letter: code in {None, letter.error_code} and stage in {None, letter.stage}


async def _letters(settings: Settings, chosen: Callable[[Letter], bool]) -> Sequence[Read]:
    topic = Topics.of(settings.kafka).dead_letters
    reader = await open_reader([topic.name], Span(from_beginning=True, follow=False), settings.kafka)
    async with aclosing(reader.records()) as records:
        return sorted([found async for found in records if chosen(letter_of(found))], key=lambda found: found.at)


async def _redrive(
    settings: Settings, chosen: Callable[[Letter], bool], *, dry_run: bool
) -> tuple[Sequence[Letter], Sequence[str]]:
    """Return what was sent, and the ids of letters that name no topic of ours."""
    names = [topic.name for topic in Topics.of(settings.kafka)]
    found = [(letter_of(read), redriven(read, names)) for read in await _letters(settings, chosen)]
    ready: list[Outgoing] = [record for _, record in found if record is not None]
    if not dry_run:
        await deliver(ready, settings)
    return [letter for letter, record in found if record], [letter.letter_id for letter, record in found if not record]


def _print_each(found: Sequence[Letter], *, as_json: bool) -> None:
    if as_json:
        print_json([replace(letter, stacktrace="") for letter in found])
        return
    print_table(
        f"{len(found)} dead letters",
        ["id", "error code", "stage", "from", "first failed", "attempts#", "message"],
        [
            [
                one.letter_id,
                one.error_code,
                one.stage,
                one.origin,
                one.first_failed_at[:19],
                one.attempts,
                _line(one.message),
            ]
            for one in found
        ],
    )


def _print_letter(letter: Letter) -> None:
    value = letter.value or b""
    print_table(
        f"Dead letter {letter.letter_id}",
        ["", ""],
        [
            ["failed at", f"{letter.stage}, record {letter.origin}"],
            ["error", f"{letter.error_code} ({letter.exception})"],
            ["message", letter.message],
            ["attempts", f"{letter.attempts}, first {letter.first_failed_at}"],
            ["key", repr(letter.key)],
            ["schema id", letter.schema_id or "none"],
            *[[f"header {name}", content] for name, content in letter.headers.items()],
        ],
    )
    typer.echo(f"\nvalue, {len(value)} bytes{f', the first {HEX_BYTES}' if len(value) > HEX_BYTES else ''}:")
    typer.echo(_hex(value[:HEX_BYTES]))
    if letter.stacktrace:
        typer.echo(f"\n{letter.stacktrace.rstrip()}")


def _hex(content: bytes) -> str:
    rows = (content[at : at + 16] for at in range(0, len(content), 16))
    return "\n".join(
        f"{at * 16:06x}  {row.hex(' '):<47}  {''.join(chr(c) if 32 <= c < 127 else '.' for c in row)}"  # noqa: PLR2004 - ASCII
        for at, row in enumerate(rows)
    )


def _line(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= 100 else f"{joined[:97]}..."  # noqa: PLR2004 - what fits in a table
