"""`forgestream`: all commands, and what becomes of their errors.

Exit codes: 0 done, 1 failed, 2 cannot start or used wrongly.
"""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from streams.errors import PipelineError, StartRefused
from topology.cli import (
    attacks_command,
    calibrate_command,
    champions_command,
    circuits_command,
    dead_letters_command,
    demo_command,
    ingest_command,
    models_command,
    produce_command,
    reindex_command,
    replay_command,
    run_commands,
    schemas_command,
    sessions_command,
    settings_command,
    tail_command,
    topics_command,
    topology_command,
)
from topology.cli.console import CANNOT_START, FAILED, say
from topology.plain import JsonInvalid

EPILOG = """
**On one laptop, nothing installed but this:**

`forgestream up` starts everything: Kafka, vector store, models and all stages. It prints the broker's address.

`export FORGESTREAM_KAFKA=127.0.0.1:PORT` in a second terminal, then

`forgestream produce texts --query "Why does Ahab hunt the whale?" --wait`

**On a cluster:** `forgestream worker --unit inference`; `forgestream settings` lists the variables that configure it.

Exit codes: 0 done, 1 failed, 2 cannot start or used wrongly.
"""


class Commands(TyperGroup):
    """Turns the project's errors into one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - a type typer keeps to itself; whatever the command returns
        """Run a command."""
        try:
            return super().invoke(ctx)
        except JsonInvalid as error:
            listed = "\n".join(f"  - {problem}" for problem in error.problems)
            say(f"forgestream: nothing was sent, because these are no records:\n{listed}")
            raise typer.Exit(CANNOT_START) from None
        except StartRefused as error:
            say(f"forgestream: {error.message}")
            raise typer.Exit(CANNOT_START) from None
        except PipelineError as error:
            say(f"forgestream: {error.message}")
            raise typer.Exit(FAILED) from None
        except BrokenPipeError:  # `forgestream tail ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


def commands() -> typer.Typer:
    """Return the command line."""
    app = typer.Typer(
        cls=Commands,
        help="Questions on Kafka in, grounded answers out: an event-driven AI stream processor.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for module in (
        run_commands,
        demo_command,
        produce_command,
        ingest_command,
        tail_command,
        topology_command,
        topics_command,
        models_command,
        settings_command,
        schemas_command,
        champions_command,
        circuits_command,
        sessions_command,
        calibrate_command,
        dead_letters_command,
        attacks_command,
        reindex_command,
        replay_command,
    ):
        module.register(app)
    return app


def main() -> None:
    """Entry point of the `forgestream` program."""
    commands()()
