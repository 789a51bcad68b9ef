"""`forgestream circuits`."""

from collections.abc import Iterable
from datetime import UTC, datetime

import typer

from schemas.records import CircuitState, CommandAction
from streams.cells import CELLS
from streams.circuit import phase
from topology.cli.console import print_table
from topology.cli.ordering import Obedient

EPILOG = """
**Examples**

`forgestream circuits list` shows every dependency that was called, and whether its circuit lets calls through.

`forgestream circuits force-open gpt-4o --reason "answers are wrong since noon"` sends no request there until `reset`.

`forgestream circuits disable vector_store --reason "flapping probe"` lets every call through, whatever becomes of it.

`forgestream circuits reset gpt-4o --reason "provider says it is fixed"` closes the circuit and gives it back to its own judgement.

An order is a record on the topic commands: it stays there with who and why, and one with the same --id is obeyed once.
"""

DEPENDENCY = typer.Argument(metavar="DEPENDENCY", help="Name of a model, vector_store or dataforge_packs, as listed.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    circuits = typer.Typer(
        help="Which outside systems are called, and which are spared: list, force-open, disable, reset.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )
    table = Obedient(subject=DEPENDENCY, check=_check, shown_on=lambda topics: topics.circuit_states, show=_print)
    commands = {
        "list": table.listing("Every circuit: its phase now, since when and why, and how its newest calls went."),
        "force-open": table.order(CommandAction.FORCE_OPEN, "Send no request there until `reset`."),
        "disable": table.order(CommandAction.DISABLE, "Let every call through until `reset`, whatever becomes of it."),
        "reset": table.order(CommandAction.RESET, "Close a circuit, forget its failures and take an override back."),
    }
    for name, command in commands.items():
        circuits.command(name, epilog=EPILOG)(command)
    app.add_typer(circuits, name="circuits")


def _check(subject: str) -> None:
    if subject in CELLS or not subject.strip():
        raise typer.BadParameter(f"{subject!r} is no dependency; `forgestream circuits list` shows them")


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
