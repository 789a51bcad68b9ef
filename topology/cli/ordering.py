"""What `champions`, `circuits` and `sessions` have in common: an order says who gives it and why, and is obeyed once."""

import getpass
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import typer

from schemas.ids import RANDOM_BYTES, uuid7
from schemas.records import Command, CommandAction
from streams.topic import Topic
from topology.cli.console import FAILED, Json, print_json, run, say, settings
from topology.orders import Obeying, ordered, rows
from topology.topics import Topics

Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the order and shown with its effect.")]
By = Annotated[str | None, typer.Option("--by", help="Who orders it; the user of this machine when left out.")]
OrderId = Annotated[
    str | None, typer.Option("--id", help="Id of the order; one that was obeyed already changes nothing.")
]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the effect; 0 does not wait.")]
WAIT_S = 15.0

R = TypeVar("R", bound=Obeying)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obedient(Generic[R]):
    """A table that obeys orders, as the command line sees it.

    Args:
        subject: `typer.Argument` of what an order is about.
        check: raises `typer.BadParameter` for what no order can be about.
        shown_on: the topic that repeats the table.
        show: prints rows.
    """

    subject: Any
    check: Callable[[str], None]
    shown_on: Callable[[Topics], Topic[R]]
    show: Callable[[Iterable[R]], None]

    def listing(self, doc: str) -> Callable[..., None]:
        """Return the command that shows every row; `doc` is its help."""

        def list_rows(*, as_json: Json = False) -> None:
            read = settings()
            found = run(lambda: rows(self.shown_on(Topics.of(read.kafka)), read))
            print_json(list(found.values())) if as_json else self.show(found.values())

        list_rows.__doc__ = doc
        return list_rows

    def order(self, action: CommandAction, doc: str) -> Callable[..., None]:
        """Return the command that gives an order with nothing but a subject; `doc` is its help."""

        def order(
            subject: Annotated[str, self.subject],
            *,
            reason: Reason,
            by: By = None,
            order_id: OrderId = None,
            wait_s: Wait = WAIT_S,
            as_json: Json = False,
        ) -> None:
            self.give(action, subject, reason=reason, by=by, order_id=order_id, wait_s=wait_s, as_json=as_json)

        order.__doc__ = doc
        return order

    def give(
        self,
        action: CommandAction,
        subject: str,
        *,
        reason: str,
        by: str | None,
        order_id: str | None,
        wait_s: float,
        as_json: bool,
        model: str | None = None,
    ) -> None:
        """Send an order, wait for its effect and show it. Exit code 1 when there was none in time."""
        self.check(subject)
        command = an_order(action, subject, reason=reason, by=by, order_id=order_id, model=model)
        read = settings()
        topics = Topics.of(read.kafka)
        row = run(lambda: ordered(command, self.shown_on(topics), read, wait_s=wait_s))
        say(f"{command.action} of {subject} ordered by {command.issued_by}, order {command.command_id}")
        if row is not None:
            print_json(row) if as_json else self.show([row])
        elif wait_s > 0:
            say(
                f"forgestream: the order is on {topics.commands.name}, but nobody had obeyed it after "
                f"{wait_s:g} s; is the unit that does running?"
            )
            raise typer.Exit(FAILED)


def an_order(
    action: CommandAction, subject: str, *, reason: str, by: str | None, order_id: str | None, model: str | None = None
) -> Command:
    """Return an order of now, given by the user of this machine when nobody else is named."""
    if not reason.strip():
        raise typer.BadParameter("say why: --reason is kept with the order")
    at = datetime.now(UTC)
    return Command(
        command_id=order_id or uuid7(int(at.timestamp() * 1000), secrets.token_bytes(RANDOM_BYTES)),
        subject=subject,
        action=action,
        model=model,
        issued_by=by or _user(),
        reason=reason.strip(),
        at=at,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        raise typer.BadParameter("say who orders it: --by") from None
