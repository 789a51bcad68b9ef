"""`forgestream demo`."""

from typing import Annotated

import typer

from topology.cli.console import FAILED, Json, run, settings

EPILOG = """
**Examples**

`forgestream demo` runs the main job on real parts and ends by itself, with exit code 0 when everything happened.

`forgestream demo --act outage` plays one act: a provider is killed, its circuit opens, others answer, it comes back.

`forgestream demo --keep` stays up afterwards, for `produce` and `tail` from another terminal.
"""
NAMES = (
    "questions",
    "attack",
    "pack",
    "contest",
    "outage",
    "delivery",
    "voice",
)  # of `topology.demo.acts.ACTS`, whose import takes a second


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("demo", epilog=EPILOG)
    def demo(
        *,
        keep: Annotated[bool, typer.Option("--keep", help="Stay up at the end, until Ctrl-C.")] = False,
        only: Annotated[
            list[str] | None, typer.Option("--act", help=f"Play only this act, may be repeated: {', '.join(NAMES)}.")
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Load a small library and show questions, attacks, competing models, a dying provider, feedback and voice."""
        unknown = sorted(set(only or ()) - set(NAMES))
        if unknown:
            raise typer.BadParameter(f"there is no act {unknown[0]!r}; there are {', '.join(NAMES)}")
        from topology.demo import run as main_job  # noqa: PLC0415 - loads the engine and all agents

        read = settings()
        if not run(lambda: main_job.run(read, keep=keep, as_json=as_json, only=only or ())):
            raise typer.Exit(FAILED)
