"""What `champions` and `circuits` have in common: an order says who gives it and why, and is obeyed once."""

import getpass
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer

from schemas.ids import RANDOM_BYTES, uuid7
from schemas.records import Command, CommandAction
from streams.settings import Settings
from streams.topic import Topic
from topology.cli.console import FAILED, print_json, run, say, settings
from topology.orders import Obeying, ordered
from topology.topics import Topics

Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the order and shown with its effect.")]
By = Annotated[str | None, typer.Option("--by", help="Who orders it; the user of this machine when left out.")]
OrderId = Annotated[
    str | None, typer.Option("--id", help="Id of the order; one that was obeyed already changes nothing.")
]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the effect; 0 does not wait.")]
WAIT_S = 15.0

R = TypeVar("R", bound=Obeying)


def give(
    action: CommandAction,
    subject: str,
    shown_on: Callable[[Topics], Topic[R]],
    show: Callable[[R], None],
    *,
    reason: str,
    by: str | None,
    order_id: str | None,
    wait_s: float,
    as_json: bool,
    model: str | None = None,
) -> None:
    """Send an order, wait for its effect and show it. Exit code 1 when there was none in time."""
    if not reason.strip():
        raise typer.BadParameter("say why: --reason is kept with the order")
    at = datetime.now(UTC)
    command = Command(
        command_id=order_id or uuid7(int(at.timestamp() * 1000), secrets.token_bytes(RANDOM_BYTES)),
        subject=subject,
        action=action,
        model=model,
        issued_by=by or _user(),
        reason=reason.strip(),
        at=at,
    )
    read = settings()
    row = run(lambda: _ordered(command, shown_on, read, wait_s))
    say(f"{command.action} of {subject} ordered by {command.issued_by}, order {command.command_id}")
    if row is not None:
        print_json(row) if as_json else show(row)
    elif wait_s > 0:
        say(
            f"forgestream: the order is on {Topics.of(read.kafka).commands.name}, but nobody had obeyed it after "
            f"{wait_s:g} s; is the unit that does running?"
        )
        raise typer.Exit(FAILED)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        raise typer.BadParameter("say who orders it: --by") from None


async def _ordered(
    command: Command, shown_on: Callable[[Topics], Topic[R]], settings: Settings, wait_s: float
) -> R | None:
    return await ordered(command, shown_on(Topics.of(settings.kafka)), settings, wait_s=wait_s)
