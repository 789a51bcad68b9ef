"""`forgestream schemas`."""

from typing import Annotated

import typer

from schemas.published import published, versions
from topology.cli.console import FAILED, Json, print_json, print_table, say, settings
from topology.topics import Topics

EPILOG = """
**Examples**

`forgestream schemas` lists every record with the topics that carry it and the ids of its versions.

`forgestream schemas TextQuery > TextQuery.avsc` writes the newest schema, for a producer in another language.

Values are Avro in the Confluent wire format: a zero byte, the schema id in four bytes, the Avro body.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("schemas", epilog=EPILOG)
    def show(
        record: Annotated[
            str | None, typer.Argument(metavar="[RECORD]", help="Print the newest schema of this record.")
        ] = None,
        *,
        as_json: Json = False,
    ) -> None:
        """The published Avro schemas: records, topics, versions, ids."""
        known = published()
        topics = Topics.of(settings().kafka)
        if record is not None:
            found = versions(known, record)
            if not found:
                say(f"forgestream: there is no record {record}; `forgestream schemas` lists them")
                raise typer.Exit(FAILED)
            print_json(found[-1].schema)
            return
        rows = [
            {
                "record": name,
                "topics": [topic.name for topic in topics if topic.record.__name__ == name],
                "versions": {one.version: one.schema_id for one in versions(known, name)},
            }
            for name in sorted({one.record for one in known.values()})
        ]
        if as_json:
            print_json(rows)
            return
        print_table(
            "Published records",
            ["record", "topics", "versions (schema id)"],
            [
                [
                    name,
                    ", ".join(topic.name for topic in topics if topic.record.__name__ == name) or "(table only)",
                    ", ".join(f"v{one.version} ({one.schema_id})" for one in versions(known, name)),
                ]
                for name in sorted({one.record for one in known.values()})
            ],
        )
