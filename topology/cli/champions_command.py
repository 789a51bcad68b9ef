"""`forgestream champions`."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from schemas.records import CommandAction, Domain, ModelStanding, Ranking, Task
from topology.cli.console import Json, print_json, print_table, run, settings
from topology.cli.ordering import WAIT_S, By, OrderId, Reason, Wait, give
from topology.orders import rows
from topology.topics import Topics

EPILOG = """
**Examples**

`forgestream champions list` shows who leads each cell, since when and why, and how far its challengers are.

`forgestream champions promote literary/analysis smollm2 --reason "better style, see ticket 12"`

`forgestream champions demote literary/analysis --reason "invents quotations"` takes the title from whoever has it; the next best follows.

`forgestream champions freeze market/analysis --reason "quarterly report"` forbids changes until `unfreeze`; verdicts are still counted.

An order is a record on the topic commands: it stays there with who and why, and one with the same --id is obeyed once.
"""
CELLS = tuple(f"{domain}/{task}" for domain in Domain for task in Task)

Cell = Annotated[str, typer.Argument(metavar="CELL", help="domain/task, e.g. literary/analysis.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    champions = typer.Typer(
        help="Which model leads in which kind of work: list, promote, demote, freeze.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )
    champions.command("list", epilog=EPILOG)(list_champions)
    champions.command("promote", epilog=EPILOG)(promote)
    champions.command("demote", epilog=EPILOG)(demote)
    champions.command("freeze", epilog=EPILOG)(freeze)
    champions.command("unfreeze", epilog=EPILOG)(unfreeze)
    app.add_typer(champions, name="champions")


def list_champions(*, as_json: Json = False) -> None:
    """Every cell with its models, best first, the champion marked."""
    read = settings()
    found = run(lambda: rows(Topics.of(read.kafka).standings, read))
    if as_json:
        print_json(list(found.values()))
    else:
        _print(found.values())


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
    _give(CommandAction.PROMOTE, cell, model, reason=reason, by=by, order_id=order_id, wait_s=wait_s, as_json=as_json)


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
    _give(CommandAction.DEMOTE, cell, model, reason=reason, by=by, order_id=order_id, wait_s=wait_s, as_json=as_json)


def freeze(
    cell: Cell,
    *,
    reason: Reason,
    by: By = None,
    order_id: OrderId = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Forbid changes of the champion, except by order."""
    _give(CommandAction.FREEZE, cell, None, reason=reason, by=by, order_id=order_id, wait_s=wait_s, as_json=as_json)


def unfreeze(
    cell: Cell,
    *,
    reason: Reason,
    by: By = None,
    order_id: OrderId = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Allow changes of the champion again."""
    _give(CommandAction.UNFREEZE, cell, None, reason=reason, by=by, order_id=order_id, wait_s=wait_s, as_json=as_json)


def _give(
    action: CommandAction,
    cell: str,
    model: str | None,
    *,
    reason: str,
    by: str | None,
    order_id: str | None,
    wait_s: float,
    as_json: bool,
) -> None:
    if cell not in CELLS:
        raise typer.BadParameter(f"there is no cell {cell!r}; there are {', '.join(CELLS)}")
    give(
        action,
        cell,
        lambda topics: topics.standings,
        lambda ranking: _print([ranking]),
        model=model,
        reason=reason,
        by=by,
        order_id=order_id,
        wait_s=wait_s,
        as_json=as_json,
    )


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
    stakes = standing.duel.evidence if standing.duel else ()
    return f"{sum(stakes) / len(stakes):.1f}" if stakes else "-"


def _since(ranking: Ranking) -> str:
    return f"{ranking.since:%Y-%m-%d %H:%M:%S}" if ranking.since else "-"


def _why(ranking: Ranking) -> str:
    return f"frozen; {ranking.reason}" if ranking.frozen else ranking.reason
