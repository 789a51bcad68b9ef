"""`forgestream demo`."""

from typing import Annotated

import typer

from topology.cli.console import FAILED, Json, run, settings

EPILOG = """
**Examples**

`forgestream demo` runs the main job on real parts and ends by itself, with exit code 0 when everything happened.

`forgestream demo --keep` stays up afterwards, for `produce` and `tail` from another terminal.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("demo", epilog=EPILOG)
    def demo(
        *,
        keep: Annotated[bool, typer.Option("--keep", help="Stay up at the end, until Ctrl-C.")] = False,
        as_json: Json = False,
    ) -> None:
        """Load a small library, ask questions, and show each request's path, answer, sources, scores and champions."""
        from topology.demo import run as main_job  # noqa: PLC0415 - loads the engine and all agents

        read = settings()
        if not run(lambda: main_job.run(read, keep=keep, as_json=as_json)):
            raise typer.Exit(FAILED)
