"""`forgestream dead-letters`."""

import getpass
import heapq
import re
import socket
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from schemas.published import published
from topology.cli.console import FAILED, Json, print_json, print_table, run, say, settings
from topology.cli.printable import hexdump, one_line, printable
from topology.letters import Choice, Groups, Letter
from topology.plain import to_json
from topology.redriving import Found, Order, Report, letter_at, letters, missing, redrive

EPILOG = """
**Examples**

`forgestream dead-letters list` groups what failed by error code, stage and schema; docs/errors.md says what each code means.

`forgestream dead-letters list --each --code undecodable` lists single letters with their ids.

`forgestream dead-letters show 2@15` shows the original bytes and headers, and the stack trace.

`forgestream dead-letters redrive --code store_unavailable --reason "store is back"` sends them back to their topics.

`forgestream dead-letters export --stage route --output letters.jsonl` keeps them, byte for byte.

A redriven record keeps its key, bytes, headers and trace, and goes on counting its attempts. What would fail the same way is refused
unless `--force` is given. Who sent what back, when and why, is on the topic `redrives`; such letters are no longer listed as open.

A request whose deadline has passed expires again: its asker has had a terminal result.

Exit codes: 0 done, 1 a letter does not exist or was refused, 2 cannot start or used wrongly.
"""

SHOWN_BYTES = 512
SHOWN_HEADERS = 50
SHOWN_CHARS = 1_000
SHOWN_STACK = 16_000
SHOWN_REFUSALS = 20
LINE = 100

Code = Annotated[str | None, typer.Option("--code", help="Only letters with this error code.")]
Stage = Annotated[str | None, typer.Option("--stage", help="Only letters of this stage.")]
Schema = Annotated[str | None, typer.Option("--schema", help="Only letters whose bytes name this schema id.")]
Redriven = Annotated[bool, typer.Option("--redriven", help="Also letters that were sent back already.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="What failed: list, show, export, and send it back to where it came from.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )
    group.command("list", epilog=EPILOG)(list_letters)
    group.command("show", epilog=EPILOG)(show)
    group.command("redrive", epilog=EPILOG)(redrive_letters)
    group.command("export", epilog=EPILOG)(export)
    app.add_typer(group, name="dead-letters")


def list_letters(
    *,
    code: Code = None,
    stage: Stage = None,
    schema: Schema = None,
    redriven: Redriven = False,
    each: Annotated[bool, typer.Option("--each", help="One line per letter instead of groups.")] = False,
    limit: Annotated[
        int, typer.Option(min=1, help="Most letters of --each, or groups; the newest, the largest.")
    ] = 1000,
    as_json: Json = False,
) -> None:
    """Open dead letters by error code, stage and schema, or each of them."""
    choice = Choice(code=code, stage=stage, schema=schema)
    if each:
        _print_each(*run(lambda: _newest(choice, limit, redriven=redriven)), as_json=as_json)
        return
    groups, count = run(lambda: _groups(choice, redriven=redriven))
    shown = groups.all()[:limit]
    if as_json:
        print_json(shown)
        return
    print_table(
        f"{count:,} {'' if redriven else 'open '}dead letters",
        ["count#", "error code", "stage", "schema", "topics", "newest", "newest message"],
        [
            [
                f"{g.count:,}",
                one_line(g.error_code, longest=LINE),
                one_line(g.stage, longest=LINE),
                schema_name(g.schema_id),
                one_line(", ".join(g.topics), longest=LINE),
                g.newest,
                one_line(g.message, longest=LINE),
            ]
            for g in shown
        ],
    )


def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As listed: partition@offset.")],
    *,
    as_json: Json = False,
) -> None:
    """One dead letter: why it failed, its original headers and bytes, and who sent it back."""
    partition, offset = _place(letter_id)
    found = run(lambda: letter_at(settings(), partition, offset))
    if found is None:
        say(f"forgestream: there is no dead letter {letter_id}; `forgestream dead-letters list --each` lists them")
        raise typer.Exit(FAILED)
    if as_json:
        print_json({**_plain(found.letter), "redrive": found.redrive})
    else:
        _print_letter(found)


def redrive_letters(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Letters as listed.")] = None,
    *,
    code: Code = None,
    stage: Stage = None,
    schema: Schema = None,
    everything: Annotated[bool, typer.Option("--all", help="Every open letter.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also what was sent back already or is expected to fail the same way.")
    ] = False,
    by: Annotated[str | None, typer.Option("--by", help="Who sends it; user@host when absent.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; noted with each letter.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    as_json: Json = False,
) -> None:
    """Send dead letters back to the topics they came from, with their original key, bytes and headers."""
    if not (ids or code or stage or schema or everything):
        raise typer.BadParameter("say which letters: ids, --code, --stage, --schema or --all")
    for letter_id in ids or ():
        _place(letter_id)
    order = Order(
        choice=Choice(code=code, stage=stage, schema=schema, ids=frozenset(ids) if ids else None),
        issued_by=by or f"{getpass.getuser()}@{socket.gethostname()}",
        reason=reason,
        force=force,
        dry_run=dry_run,
    )
    tell = (lambda _: None) if as_json else (lambda done: say(f"{done:,} letters"))
    report = run(lambda: redrive(settings(), order, now=lambda: datetime.now(UTC), tell=tell))
    lost = missing(order, report)
    if as_json:
        refused = [{"letter_id": letter_id, "reason": why} for letter_id, why in report.refused.items()]
        print_json({"redriven": report.sent, "refused": refused, "missing": lost, "dry_run": dry_run})
    else:
        _print_report(report, lost, dry_run=dry_run)
    if report.refused or lost:
        raise typer.Exit(FAILED)


def export(
    *,
    code: Code = None,
    stage: Stage = None,
    schema: Schema = None,
    redriven: Redriven = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; standard output when absent.")
    ] = None,
) -> None:
    """Dead letters as JSON lines, nothing left out: key, value and every header in base64."""
    choice = Choice(code=code, stage=stage, schema=schema)
    if output is None:
        run(lambda: _export(choice, typer.get_text_stream("stdout"), redriven=redriven))
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            count = run(lambda: _export(choice, file, redriven=redriven))
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written ({error.strerror}); name a new file") from error
    say(f"{count:,} letters written to {output}")


def schema_name(schema_id: str) -> str:
    """Return a schema id with the record it stands for, when it is one of ours."""
    known = published().get(int(schema_id)) if schema_id.isascii() and schema_id.isdigit() else None
    return f"{schema_id} ({known.record} {known.version})" if known else one_line(schema_id, longest=LINE) or "none"


async def _groups(choice: Choice, *, redriven: bool) -> tuple[Groups, int]:
    groups, count = Groups(), 0
    async with aclosing(letters(settings(), choice)) as found:
        async for one in found:
            if redriven or one.redrive is None:
                groups.add(one.letter)
                count += 1
    return groups, count


async def _newest(choice: Choice, limit: int, *, redriven: bool) -> tuple[Sequence[Found], int]:
    """Return the newest letters without their bytes, oldest first, and how many there are."""
    newest: list[tuple[datetime, int, Found]] = []
    count = 0
    async with aclosing(letters(settings(), choice)) as found:
        async for one in found:
            if redriven or one.redrive is None:
                count += 1
                heapq.heappush(newest, (one.read.at, count, _brief(one)))
                if len(newest) > limit:
                    heapq.heappop(newest)
    return [one for _, _, one in sorted(newest, key=lambda entry: entry[:2])], count


def _brief(found: Found) -> Found:
    return replace(
        found,
        read=replace(found.read, value=None, headers=()),
        letter=replace(found.letter, value=None, stacktrace="", headers={}),
    )


async def _export(choice: Choice, file: IO[str], *, redriven: bool) -> int:
    count = 0
    async with aclosing(letters(settings(), choice)) as found:
        async for one in found:
            if redriven or one.redrive is None:
                count += 1
                headers = [[name, b64encode(content).decode()] for name, content in one.read.headers]
                plain = {**_plain(one.letter), "headers": headers, "at": one.read.at, "redrive": one.redrive}
                file.write(to_json(plain) + "\n")
    file.flush()
    return count


def _plain(letter: Letter) -> dict[str, Any]:
    return {name: getattr(letter, name) for name in letter.__dataclass_fields__}


def _place(letter_id: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,9})@([0-9]{1,18})", letter_id)
    if found is None:
        raise typer.BadParameter(f"{letter_id!r} is no letter; ids are partition@offset, such as 2@15")
    return int(found[1]), int(found[2])


def _print_each(found: Sequence[Found], count: int, *, as_json: bool) -> None:
    if as_json:
        print_json([{**_plain(one.letter), "redrive": one.redrive} for one in found])
        return
    print_table(
        f"{count:,} dead letters" + (f", the newest {len(found):,}" if count > len(found) else ""),
        ["id", "error code", "stage", "schema", "from", "first failed", "attempts#", "redriven", "message"],
        [
            [
                one.letter.letter_id,
                one_line(one.letter.error_code, longest=LINE),
                one_line(one.letter.stage, longest=LINE),
                schema_name(one.letter.schema_id),
                one_line(one.letter.origin, longest=LINE),
                printable(one.letter.first_failed_at[:19]),
                one_line(one.letter.attempts, longest=9),
                f"{one.redrive.at:%Y-%m-%d %H:%M}" if one.redrive else "",
                one_line(one.letter.message, longest=LINE),
            ]
            for one in found
        ],
    )


def _print_letter(found: Found) -> None:
    letter, note = found.letter, found.redrive
    value, headers = letter.value or b"", list(letter.headers.items())
    rows = [
        ["failed at", f"{letter.stage}, record {letter.origin}, code version {letter.version or 'unknown'}"],
        ["error", f"{letter.error_code} ({letter.exception})"],
        ["message", letter.message],
        ["attempts", f"{letter.attempts}, first {letter.first_failed_at}, sent back {letter.redrives} times before"],
        ["key", repr(letter.key)],
        ["schema id", schema_name(letter.schema_id)],
        *[[f"header {name}", content] for name, content in headers[:SHOWN_HEADERS]],
    ]
    if len(headers) > SHOWN_HEADERS:
        rows.append(["headers", f"{len(headers) - SHOWN_HEADERS:,} more; `export` has them all"])
    if note is not None:
        rows.append(["sent back", f"by {note.issued_by} at {note.at:%Y-%m-%d %H:%M:%S} UTC {note.reason}"])
    print_table(
        f"Dead letter {letter.letter_id}",
        ["", ""],
        [[printable(name, longest=LINE), printable(content, longest=SHOWN_CHARS)] for name, content in rows],
    )
    more = f", the first {SHOWN_BYTES}" if len(value) > SHOWN_BYTES else ""
    typer.echo("\nno value" if letter.value is None else f"\nvalue, {len(value):,} bytes{more}:")
    typer.echo(hexdump(value, most=SHOWN_BYTES))
    if letter.stacktrace:
        typer.echo(f"\n{printable(letter.stacktrace.rstrip(), longest=SHOWN_STACK)}")


def _print_report(report: Report, lost: Sequence[str], *, dry_run: bool) -> None:
    if report.refused:
        why = Counter(report.refused.values())
        print_table(
            f"{len(report.refused):,} refused; --force sends what is refused because of what it would become",
            ["count#", "why", "such as"],
            [
                [
                    f"{count:,}",
                    one_line(reason, longest=2 * LINE),
                    next(i for i, r in report.refused.items() if r == reason),
                ]
                for reason, count in why.most_common(SHOWN_REFUSALS)
            ],
        )
    for letter_id in lost:
        say(f"forgestream: there is no dead letter {letter_id}")
    say(f"{len(report.sent):,} {'would be ' if dry_run else ''}sent back, {len(report.refused):,} refused")
