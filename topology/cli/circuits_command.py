"""`forgestream circuits`."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer

from schemas.records import CircuitState, CommandAction
from streams.circuit import phase
from topology.cli.champions_command import CELLS
from topology.cli.console import Json, print_json, print_table, run, settings
from topology.cli.ordering import WAIT_S, By, OrderId, Reason, Wait, give
from topology.orders import rows
from topology.topics import Topics

EPILOG = """
**Examples**

`forgestream circuits list` shows every dependency that was called, and whether its circuit lets calls through.

`forgestream circuits force-open gpt-4o --reason "answers are wrong since noon"` sends no request there until `reset`.

`forgestream circuits disable vector_store --reason "flapping probe"` lets every call through, whatever becomes of it.

`forgestream circuits reset gpt-4o --reason "provider says it is fixed"` closes the circuit and gives it back to its own judgement.

An order is a record on the topic commands: it stays there with who and why, and one with the same --id is obeyed once.
"""

Dependency = Annotated[
    str, typer.Argument(metavar="DEPENDENCY", help="Name of a model, vector_store or dataforge, as listed.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    circuits = typer.Typer(
        help="Which outside systems are called, and which are spared: list, force-open, disable, reset.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )
    circuits.command("list", epilog=EPILOG)(list_circuits)
    circuits.command("force-open", epilog=EPILOG)(force_open)
    circuits.command("disable", epilog=EPILOG)(disable)
    circuits.command("reset", epilog=EPILOG)(reset)
    app.add_typer(circuits, name="circuits")


def list_circuits(*, as_json: Json = False) -> None:
    """Every circuit: its phase now, since when and why, and how its newest calls went."""
    read = settings()
    found = run(lambda: rows(Topics.of(read.kafka).circuit_states, read))
    if as_json:
        print_json(list(found.values()))
    else:
        _print(found.values())


def force_open(
    dependency: Dependency,
    *,
    reason: Reason,
    by: By = None,
    order_id: OrderId = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Send no request there until `reset`."""
    _give(CommandAction.FORCE_OPEN, dependency, reason=reason, by=by, order_id=order_id, wait_s=wait_s, as_json=as_json)


def disable(
    dependency: Dependency,
    *,
    reason: Reason,
    by: By = None,
    order_id: OrderId = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Let every call through until `reset`, whatever becomes of it."""
    _give(CommandAction.DISABLE, dependency, reason=reason, by=by, order_id=order_id, wait_s=wait_s, as_json=as_json)


def reset(
    dependency: Dependency,
    *,
    reason: Reason,
    by: By = None,
    order_id: OrderId = None,
    wait_s: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Close a circuit, forget its failures and take an override back."""
    _give(CommandAction.RESET, dependency, reason=reason, by=by, order_id=order_id, wait_s=wait_s, as_json=as_json)


def _give(
    action: CommandAction,
    dependency: str,
    *,
    reason: str,
    by: str | None,
    order_id: str | None,
    wait_s: float,
    as_json: bool,
) -> None:
    if dependency in CELLS or not dependency.strip():
        raise typer.BadParameter(f"{dependency!r} is no dependency; `forgestream circuits list` shows them")
    give(
        action,
        dependency,
        lambda topics: topics.circuit_states,
        lambda state: _print([state]),
        reason=reason,
        by=by,
        order_id=order_id,
        wait_s=wait_s,
        as_json=as_json,
    )


def _print(states: Iterable[CircuitState]) -> None:
    now = datetime.now(UTC)
    print_table(
        "Circuits",
        ["dependency", "phase", "since", "until", "in a row#", "opened#", "newest calls", "last error", "why"],
        [
            [
                state.dependency,
                str(phase(state, now)),
                f"{state.since:%Y-%m-%d %H:%M:%S}" if state.since else "-",
                f"{state.open_until:%H:%M:%S}" if state.open_until else "-",
                str(state.failures),
                str(state.opened),
                state.calls[-20:] or "-",
                state.last_error_code or "-",
                state.reason,
            ]
            for state in states
        ],
    )
