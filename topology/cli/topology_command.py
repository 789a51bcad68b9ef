"""`forgestream topology`."""

from enum import StrEnum
from typing import Annotated

import typer

from topology.cli.console import Json, print_json, print_table, settings

EPILOG = """
**Examples**

`forgestream topology` shows stages and topics: what goes in, what comes out, with which key, in which order.

`forgestream topology --format mermaid` prints the diagram of docs/topology.md.

`forgestream topology --json | jq -r '.topics[] | [.name, .key, .record] | @tsv'` is the contract in short.

Read off the same function that production runs; needs no broker.
"""


class Format(StrEnum):
    """How the graph is shown."""

    TEXT = "text"
    MERMAID = "mermaid"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("topology", epilog=EPILOG)
    def show(
        *,
        shown_as: Annotated[Format, typer.Option("--format", help="How the graph is shown.")] = Format.TEXT,
        as_json: Json = False,
    ) -> None:
        """The graph: units, stages, and the topics between them with key, record, partitions, retention and owner."""
        from topology import diagram  # noqa: PLC0415 - imports the engine, which `--help` does not need

        graph = diagram.drawn(settings())
        if as_json or shown_as is Format.JSON:
            print_json(diagram.as_json(graph))
        elif shown_as is Format.MERMAID:
            typer.echo(diagram.mermaid(settings()), nl=False)
        else:
            print_table("Stages, in the order of the pipeline", diagram.STAGE_COLUMNS, diagram.stage_rows(graph))
            typer.echo()
            print_table("Topics", diagram.TOPIC_COLUMNS, diagram.topic_rows(graph))
            waiting = [topic.name for topic in graph.topics if topic not in graph.connected()]
            typer.echo(f"\nDeclared, but no stage reads or writes them yet: {', '.join(waiting)}." if waiting else "")
            typer.echo(
                "Every stage also writes to dead-letters what failed, and the terminal result of a request it ends."
            )
