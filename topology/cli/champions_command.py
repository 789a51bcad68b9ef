"""`forgestream champions`."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from schemas.records import CommandAction, ModelStanding, Ranking
from streams.cells import CELLS
from topology.cli.console import Json, print_table
from topology.cli.ordering import WAIT_S, By, Obedient, OrderId, Reason, Wait

EPILOG = """
**Examples**

`forgestream champions list` shows who leads each cell, since when and why, and how far its challengers are.

`forgestream champions promote literary/analysis smollm2 --reason "better style, see ticket 12"`

`forgestream champions demote literary/analysis --reason "invents quotations"` takes the title from whoever has it; the next best follows.

`forgestream champions freeze market/analysis --reason "quarterly report"` forbids changes until `unfreeze`; verdicts are still counted.

An order is a record on the topic commands: it stays there with who and why, and one with the same --id is obeyed once.
"""
CELL = typer.Argument(metavar="CELL", help="domain/task, e.g. literary/analysis.")
Cell = Annotated[str, CELL]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    champions = typer.Typer(
        help="Which model leads in which kind of work: list, promote, demote, freeze.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )
    commands = {
        "list": CHAMPIONS.listing("Every cell with its models, best first, the champion marked."),
        "promote": promote,
        "demote": demote,
        "freeze": CHAMPIONS.order(CommandAction.FREEZE, "Forbid changes of the champion, except by order."),
        "unfreeze": CHAMPIONS.order(CommandAction.UNFREEZE, "Allow changes of the champion again."),
    }
    for name, command in commands.items():
        champions.command(name, epilog=EPILOG)(command)
    app.add_typer(champions, name="champions")


def promote(
    cell: Cell,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, as in FORGESTREAM_ROUTE_MODELS.")],
    *,
    reason: Reason,
    by: By = None,
    order_id: OrderId = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Give the title of a cell to a model; it is defended by the usual rules from then on."""
    CHAMPIONS.give(
        CommandAction.PROMOTE,
        cell,
        model=model,
        reason=reason,
        by=by,
        order_id=order_id,
        wait_s=wait_s,
        as_json=as_json,
    )


def demote(
    cell: Cell,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The champion when left out.")] = None,
    *,
    reason: Reason,
    by: By = None,
    order_id: OrderId = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Forget what a model has shown in a cell; a champion loses its title to the next best."""
    CHAMPIONS.give(
        CommandAction.DEMOTE,
        cell,
        model=model,
        reason=reason,
        by=by,
        order_id=order_id,
        wait_s=wait_s,
        as_json=as_json,
    )


def _check(subject: str) -> None:
    if subject not in CELLS:
        raise typer.BadParameter(f"there is no cell {subject!r}; there are {', '.join(CELLS)}")


def _print(rankings: Iterable[Ranking]) -> None:
    print_table(
        "Champions",
        ["cell", "model", "score#", "trend#", "peak#", "low#", "verdicts#", "latency#", "evidence#", "since", "why"],
        [row for ranking in rankings for row in _rows(ranking)],
    )


def _rows(ranking: Ranking) -> Iterable[Sequence[str]]:
    standings = sorted(ranking.standings, key=lambda one: (one.model != ranking.champion, -one.score))
    judged = {one.model for one in standings}
    if ranking.champion is not None and ranking.champion not in judged:
        yield [ranking.cell, f"* {ranking.champion}", *["-"] * 7, _since(ranking), _why(ranking)]
    elif not standings:
        yield [ranking.cell, "-", *["-"] * 7, _since(ranking), _why(ranking)]
    for one in standings:
        leads = one.model == ranking.champion
        yield [
            ranking.cell,
            f"{'*' if leads else ' '} {one.model}",
            f"{one.score:.3f}",
            f"{one.trend:+.3f}",
            f"{one.peak:.3f}",
            f"{one.low:.3f}",
            str(one.samples),
            f"{one.latency_ms:.0f} ms",
            "-" if leads else _evidence(one),
            _since(ranking) if leads else "",
            _why(ranking) if leads else "",
        ]


def _evidence(standing: ModelStanding) -> str:
    return f"{standing.duel.strength:.1f}" if standing.duel and standing.duel.evidence else "-"


def _since(ranking: Ranking) -> str:
    return f"{ranking.since:%Y-%m-%d %H:%M:%S}" if ranking.since else "-"


def _why(ranking: Ranking) -> str:
    return f"frozen; {ranking.reason}" if ranking.frozen else ranking.reason


CHAMPIONS = Obedient(subject=CELL, check=_check, shown_on=lambda topics: topics.standings, show=_print)
