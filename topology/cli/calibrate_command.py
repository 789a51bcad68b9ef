"""`forgestream calibrate`."""

from typing import Annotated

import typer

from streams.errors import StartRefused
from topology.cli.console import Json, out, print_json, print_table, run, settings
from topology.cli.progress import Steps

EPILOG = """
**Examples**

`forgestream calibrate` lets the models of the chain judge the newest 50 answers, beside the rules, and compares them.

`forgestream calibrate --judge claude-haiku-5-5 --judge smollm2 --answers 200 --json` compares these two.

A model that judges well here is named by FORGESTREAM_EVALUATE_JUDGE; docs/judging.md says what the columns mean. Every
answer is judged twice by each: as it is, and with the answer to another question in its place; `--no-controls` leaves that out.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("calibrate", epilog=EPILOG)
    def calibrate(
        *,
        judges: Annotated[
            list[str] | None,
            typer.Option(
                "--judge",
                help="A model, as in FORGESTREAM_ROUTE_MODELS; may be repeated. All of the chain when left out.",
            ),
        ] = None,
        answers: Annotated[
            int, typer.Option("--answers", min=1, max=10_000, help="How many of the newest answers.")
        ] = 50,
        controls: Annotated[
            bool,
            typer.Option(help="Also judge every question with the answer to another: a judge must tell them apart."),
        ] = True,
        as_json: Json = False,
    ) -> None:
        """Compare judges on the same answers: agreement, bias, rank correlation, length bias, self-preference. Asks models."""
        from streams.clients.models.registry import Registry  # noqa: PLC0415 - as below
        from topology.calibration import words  # noqa: PLC0415 - loads all agents
        from topology.calibration.answers import newest  # noqa: PLC0415 - as above
        from topology.calibration.judging import calibrated  # noqa: PLC0415 - as above

        read = settings()
        names = judges or Registry(read.route).chain_names()
        found = run(lambda: newest(answers, read))
        if not found:
            raise StartRefused("there are no answers to judge yet; ask something first, see `forgestream produce`")
        with Steps(quiet=as_json) as steps:
            rows = run(
                lambda: calibrated(
                    found,
                    names,
                    read,
                    controls=controls,
                    told=lambda done, total: steps.progress(done, total, f"{total:,} judgements"),
                )
            )
        if as_json:
            print_json({"answers": len(found), "controls": controls, "judges": rows})
            return
        print_table(f"Judges of {len(found)} answers", words.COLUMNS, words.cells(rows))
        out().print(f"\n{words.MEANING}", markup=False, soft_wrap=True)
