"""`forgestream replay`."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from schemas.records import Strategy
from streams.errors import StartRefused
from streams.settings import Settings
from topology.cli.console import Json, out, print_json, print_table, run, say, settings
from topology.cli.pace import Pace

if TYPE_CHECKING:
    from schemas.records import Replay
    from topology.replay.order import Answers, Order
    from topology.replay.report import Report
    from topology.replay.run import Outlook

EPILOG = """
**Examples**

`forgestream replay --from 2026-11-01 --to 2026-11-08 --model smollm2 --model extractive` asks last week's questions again,
each of both models, and reports who did better, where, and by how much.

`forgestream replay --from 2026-11-01 --dry-run` says what is there and what it would do.

`forgestream replay --topic prompts --from 2026-11-07T12:00 --strategy quality_optimized --sample 10%` keeps the passages
that were found then, and takes a tenth of the conversations.

`forgestream replay list`, `forgestream replay report NAME --out DIR`, `forgestream replay drop NAME`

Interrupted? The same command goes on where it stopped. docs/replay.md says what a replay repeats exactly, and what it cannot.

Nothing is delivered: not to DataForge, not to Sophia, not to a live topic or table. Models are asked, unless
`--answers recorded`: what they say is kept on the topic `replay-answers`, and said again by the next replay.
"""

IN_FLIGHT = 32

E = TypeVar("E", bound=StrEnum)

Out = Annotated[Path, typer.Option("--out", help="Where replay-NAME.html and replay-NAME.json are written.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="As listed by `forgestream replay list`.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    replays = typer.Typer(
        help="Ask the questions of the past again, of other models or with another strategy, and compare.",
        epilog=EPILOG,
        rich_markup_mode="markdown",
        invoke_without_command=True,
    )
    replays.callback(epilog=EPILOG)(order)
    replays.command("list", epilog=EPILOG)(list_replays)
    replays.command("report", epilog=EPILOG)(report)
    replays.command("drop", epilog=EPILOG)(drop)
    app.add_typer(replays, name="replay")


def order(
    context: typer.Context,
    *,
    topic: Annotated[
        str, typer.Option(help="Topic to begin at: texts, requests, embeddings, contexts or prompts.")
    ] = "texts",
    start: Annotated[
        str | None, typer.Option("--from", help="First moment, like 2026-11-01T00:00; UTC unless it says otherwise.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="First moment after the range; now when absent.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model that answers alone; repeat it to compare several.")
    ] = None,
    strategy: Annotated[
        list[Strategy] | None, typer.Option(help="Routing strategy; repeat it to compare several.")
    ] = None,
    evaluator: Annotated[str | None, typer.Option(help="Refuse to run with another judge than this.")] = None,
    prompt_version: Annotated[
        str | None, typer.Option(help="Refuse to run with another prompt version than this.")
    ] = None,
    sample: Annotated[
        str, typer.Option(help="Share of the conversations: 10% or 0.1. The same ones every time.")
    ] = "100%",
    seed: Annotated[
        str, typer.Option(help="Champions and circuits at the start: empty, or live as of --from.")
    ] = "empty",
    answers: Annotated[
        str, typer.Option(help="reuse recorded answers and ask for the rest; recorded only; or ask all fresh.")
    ] = "reuse",
    knowledge: Annotated[
        str, typer.Option(help="Passages: from the knowledge topic, indexed anew; or from the live store, read only.")
    ] = "topic",
    in_flight: Annotated[
        int, typer.Option(min=1, max=10_000, help="Most requests under way; fewer for a slow model.")
    ] = IN_FLIGHT,
    name: Annotated[str | None, typer.Option(help="Name of the replay; made from the order when absent.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be replayed.")] = False,
    out_dir: Out = Path(),
    as_json: Json = False,
) -> None:
    """Ask the questions of the past again, of other models or with another strategy, and compare."""
    if context.invoked_subcommand is not None:
        return
    from topology.replay import order as orders  # noqa: PLC0415 - loads the engine, the agents and the clients
    from topology.replay.run import outlook  # noqa: PLC0415 - as above

    if start is None:
        raise typer.BadParameter("say where the range begins, like --from 2026-11-01T00:00", param_hint="--from")
    read = settings()
    ordered = orders.ordered(
        topic=topic.removeprefix(read.kafka.topic_prefix),
        start=_moment("--from", start),
        end=_moment("--to", end) if end is not None else datetime.now(UTC).replace(microsecond=0),
        models=model or [],
        strategies=strategy or [],
        evaluator=evaluator,
        prompt_version=prompt_version,
        sample=_share(sample),
        seed=_choice(orders.Seed, "--seed", seed),
        knowledge=_choice(orders.Knowledge, "--knowledge", knowledge),
    )
    chosen = _choice(orders.Answers, "--answers", answers)
    if dry_run:
        _print_outlook(run(lambda: outlook(read, ordered, name)), as_json=as_json)
        return
    _publish(_replayed(read, ordered, chosen, name, in_flight, quiet=as_json), read, out_dir, as_json=as_json)


def list_replays(*, as_json: Json = False) -> None:
    """What was replayed, and how far it got."""
    from topology.replay.run import done_of, listed  # noqa: PLC0415 - as in `order`

    read = settings()

    async def all_of_them() -> "list[tuple[Replay, int]]":
        return [(one, sum(await done_of(read, one))) for one in await listed(read.kafka)]

    found = run(all_of_them)
    if as_json:
        print_json([{"replay": one, "done": done, "of": one.requests * len(one.variants)} for one, done in found])
        return
    print_table(
        f"{len(found)} replays",
        ["name", "topic", "from", "to", "variants", "requests#", "state", "started"],
        [
            [
                one.name,
                one.topic,
                f"{one.start:%Y-%m-%d %H:%M}",
                f"{one.end:%Y-%m-%d %H:%M}",
                ", ".join(one.variants),
                f"{one.requests:,}",
                "finished" if one.finished_at else f"{done / max(1, one.requests * len(one.variants)):.0%}",
                f"{one.started_at:%Y-%m-%d %H:%M}",
            ]
            for one, done in found
        ],
    )


def report(name: Name, *, out_dir: Out = Path(), as_json: Json = False) -> None:
    """The report of a replay again, also of one that is unfinished."""
    from topology.replay.run import existing  # noqa: PLC0415 - as in `order`

    read = settings()
    _publish(run(lambda: existing(read.kafka, name)), read, out_dir, as_json=as_json)


def drop(
    name: Name,
    *,
    answers: Annotated[bool, typer.Option("--answers", help="Also what models said, which all replays share.")] = False,
    as_json: Json = False,
) -> None:
    """Delete the topics and groups of a replay."""
    from topology.replay.run import drop as dropped  # noqa: PLC0415 - as in `order`

    count = run(lambda: dropped(settings(), name, also_answers=answers))
    if as_json:
        print_json({"dropped": name, "topics": count})
    else:
        say(f"replay {name} is dropped: {count} topics deleted")


def _replayed(
    read: Settings, ordered: "Order", answers: "Answers", name: str | None, in_flight: int, *, quiet: bool
) -> "Replay":
    import asyncio  # noqa: PLC0415 - as in `order`
    import logging  # noqa: PLC0415

    import uvloop  # noqa: PLC0415

    from streams.logs import configure  # noqa: PLC0415
    from topology.replay.run import replay  # noqa: PLC0415

    configure(read.telemetry)
    # what fails is counted in the report; Milvus Lite reports calls it does not implement as errors; Faust leaves tasks
    # of its own behind when a unit stops before the program does
    for logger in ("forgestream.guard", "grpc", "asyncio"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    with Pace(quiet=quiet) as pace, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(
                replay(read, ordered, name, answers, in_flight=in_flight, tell=pace.say, advance=pace.advance)
            )
        except KeyboardInterrupt:
            pace.say("interrupted; what is done is kept. Run the same command again to go on")
            raise typer.Exit(1) from None


def _publish(found: "Replay", read: Settings, out_dir: Path, *, as_json: bool) -> None:
    from topology.plain import to_json  # noqa: PLC0415 - as in `order`
    from topology.replay.page import page  # noqa: PLC0415
    from topology.replay.report import reported  # noqa: PLC0415

    made = run(lambda: reported(read, found))
    paths = out_dir / f"replay-{found.name}.html", out_dir / f"replay-{found.name}.json"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, (page(made), to_json(made, indent=True)), strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartRefused(
            f"the report cannot be written to {out_dir} ({error.strerror}); name another --out"
        ) from error
    if as_json:
        print_json(made)
    else:
        _print_report(made)
        say(f"\nwritten: {paths[0]} and {paths[1]}")


def _print_report(made: "Report") -> None:
    from topology.replay import words  # noqa: PLC0415 - as in `order`
    from topology.replay.report import ALL  # noqa: PLC0415

    typer.echo(f"Replay {made.replay.name}: {words.headline(made)}")
    for note in made.notes:
        typer.echo(f"! {note}")
    typer.echo()
    for title, (columns, rows) in (
        ("In all", words.side_rows(made)),
        ("Scores per cell, with 95 % confidence intervals", words.cell_rows(made)),
        ("Differences, paired per request", words.comparison_rows(made)),
        ("Champions", (words.champion_columns(made), words.champion_rows(made))),
        ("Largest regressions", words.regression_rows(made)),
    ):
        print_table(title, columns, rows)
        typer.echo()
    for one in made.comparisons:
        if one.cell == ALL:
            out().print(words.verdict(one), markup=False, soft_wrap=True)


def _print_outlook(found: "Outlook", *, as_json: bool) -> None:
    ordered, survey = found.order, found.survey
    if as_json:
        print_json(
            {
                "name": found.name,
                "topic": ordered.topic,
                "from": ordered.start,
                "to": ordered.end,
                "variants": [variant.name for variant in ordered.variants],
                "requests": survey.taken,
                "found": survey.found,
                "repeated": survey.repeated,
                "unreadable": survey.unreadable,
                "first_at": survey.first_at,
                "last_at": survey.last_at,
                "notes": found.notes,
            }
        )
        return
    names = ", ".join(variant.name for variant in ordered.variants)
    print_table(
        f"Replay {found.name} would run {survey.taken * len(ordered.variants):,} requests; nothing has been written",
        ["", ""],
        [
            ["topic", ordered.topic],
            ["range", f"{ordered.start:%Y-%m-%d %H:%M:%S} to {ordered.end:%Y-%m-%d %H:%M:%S} UTC"],
            [
                "records there",
                f"{survey.found:,} from {survey.first_at:%Y-%m-%d %H:%M:%S} to {survey.last_at:%Y-%m-%d %H:%M:%S}",
            ],
            ["requests taken", f"{survey.taken:,} (sample {ordered.sample:.4g})"],
            ["variants", names],
            *([["note", note] for note in found.notes]),
        ],
    )


def _moment(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-11-01 or 2026-11-01T00:00", param_hint=option
        ) from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)


def _share(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no share; write 10% or 0.1", param_hint="--sample") from None


def _choice(kind: type[E], option: str, text: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(kind)}", param_hint=option) from None
