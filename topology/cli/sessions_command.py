"""`forgestream sessions`."""

from typing import Annotated

import typer

from schemas.records import CommandAction, Session
from streams.topic import SEPARATOR, of_tenant
from topology.cli.console import FAILED, Json, print_json, print_table, run, say, settings
from topology.cli.ordering import WAIT_S, By, OrderId, Reason, Wait, an_order
from topology.orders import forgotten, row_of
from topology.tables import changelog

EPILOG = """
**Examples**

`forgestream sessions show talk-1 --tenant acme` prints what is remembered of a conversation.

`forgestream sessions forget talk-1 --tenant acme --reason "asked to, ticket 12"` deletes it; the next question of it begins anew.

What was said also lies on topics, each for its own time: docs/conversations.md says where, and for how long.
"""
TABLE = "sessions"
Name = Annotated[str, typer.Argument(metavar="SESSION", help="session_id of the conversation.")]
Tenant = Annotated[str, typer.Option(help="Whose conversation.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    sessions = typer.Typer(
        help="What is remembered of a conversation: show, forget.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )
    for command in (show, forget):
        sessions.command(command.__name__, epilog=EPILOG)(command)
    app.add_typer(sessions, name="sessions")


def show(session_id: Name, *, tenant: Tenant = "default", as_json: Json = False) -> None:
    """Print the turns of a conversation. Exit code 1 when nothing is remembered of it."""
    read, key = settings(), _key(tenant, session_id)
    found = run(lambda: row_of(changelog(TABLE, Session, read), key, read))
    if found is None:
        say(f"forgestream: nothing is remembered of conversation {session_id} of tenant {tenant}")
        raise typer.Exit(FAILED)
    print_json(found) if as_json else _print(found)


def forget(
    session_id: Name,
    *,
    tenant: Tenant = "default",
    reason: Reason,
    by: By = None,
    order_id: OrderId = None,
    wait_s: Wait = WAIT_S,
) -> None:
    """Delete what is remembered of a conversation. Exit code 1 when it was not deleted in time."""
    read, key = settings(), _key(tenant, session_id)
    order = an_order(CommandAction.FORGET, key, reason=reason, by=by, order_id=order_id)
    table = changelog(TABLE, Session, read)
    remembered = run(lambda: row_of(table, key, read))
    gone = run(lambda: forgotten(order, table, read, wait_s=wait_s if remembered is not None else 0.0))
    say(f"forget of {key} ordered by {order.issued_by}, order {order.command_id}")
    if remembered is None:
        say(f"nothing was remembered of conversation {session_id} of tenant {tenant}")
    elif gone:
        say(f"{len(remembered.turns)} turns are forgotten; docs/conversations.md says where they were said besides")
    elif wait_s > 0:
        say(f"forgestream: nobody had obeyed after {wait_s:g} s; is the unit intake running?")
        raise typer.Exit(FAILED)


def _key(tenant: str, session_id: str) -> str:
    if SEPARATOR in tenant + session_id:
        raise typer.BadParameter(f"neither a session_id nor a tenant holds {SEPARATOR!r}; name the tenant by --tenant")
    return of_tenant(tenant, session_id)


def _print(session: Session) -> None:
    print_table(
        f"Conversation {session.session_id} of {session.tenant}",
        ["at", "request", "question", "answer"],
        [[f"{turn.at:%Y-%m-%d %H:%M:%S}", turn.request_id, turn.query, turn.answer or "-"] for turn in session.turns],
    )
