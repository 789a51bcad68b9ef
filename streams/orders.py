"""Orders: commands of an operator, obeyed once by the table they are for."""

from collections.abc import Sequence

from schemas.records import Command

ORDERS_REMEMBERED = 100


def with_order(obeyed: Sequence[str], command: Command) -> tuple[str, ...]:
    """Return the ids of the newest orders obeyed, that of `command` the newest."""
    return (*obeyed, command.command_id)[-ORDERS_REMEMBERED:]
