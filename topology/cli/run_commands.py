"""`forgestream up` and `forgestream worker`."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
