"""`forgestream settings`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from streams.settings import SettingReference, Settings, reference
from topology.cli.console import Json, print_json, print_table, settings

EPILOG = """
**Examples**

`forgestream settings` shows every setting of this environment; secrets are masked.

`forgestream settings --json | jq '.[] | select(.value != .default)'` shows what you changed.

A name that ends in `_FILE` reads the value from that file (mounted secrets).
"""

MARKDOWN_HEAD = """# Settings

Written by `make docs` from `streams/settings.py` (`forgestream settings --markdown`); do not edit.

All are environment variables, read once at start; every problem is reported at once, before Kafka is touched.
A name that ends in `_FILE` (`FORGESTREAM_KAFKA_SASL_PASSWORD_FILE`) reads the value from that file.
The last column is the reason wherever we differ from Kafka's or Faust's default.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("settings", epilog=EPILOG)
    def show(
        *,
        as_json: Json = False,
        as_markdown: Annotated[
            bool,
            typer.Option("--markdown", help="Print docs/settings.md: the defaults, whatever the environment says."),
        ] = False,
    ) -> None:
        """Every setting: name, value, default, unit, meaning, and why it differs from Kafka's or Faust's default."""
        if as_markdown:
            typer.echo(markdown(), nl=False)
            return
        rows = list(reference(settings()))
        if as_json:
            print_json(rows)
            return
        for section, found in _sections(rows):
            print_table(
                section,
                ["name", "value", "unit", "meaning"],
                [
                    [row.name, _value(row), row.unit, row.meaning + (f" ({row.why})" if row.why else "")]
                    for row in found
                ],
            )
            typer.echo()


def markdown() -> str:
    """Return docs/settings.md."""
    parts = [MARKDOWN_HEAD]
    for section, rows in _sections(list(reference(Settings()))):
        parts.append(f"\n## {section}\n\n| name | default | unit | meaning | why |\n|---|---|---|---|---|\n")
        parts += [
            f"| `{row.name}` | {_code(row.default)} | {row.unit} | {_cell(row.meaning)} | {_cell(row.why)} |\n"
            for row in rows
        ]
    return "".join(parts)


def _sections(rows: Sequence[SettingReference]) -> Sequence[tuple[str, Sequence[SettingReference]]]:
    found: dict[str, list[SettingReference]] = {}
    for row in rows:
        found.setdefault(row.name.split("_")[1].lower(), []).append(row)
    return list(found.items())


def _value(row: SettingReference) -> str:
    if row.value == row.default:
        return row.value or "-"
    return f"{row.value} (default {row.default or 'empty'})"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
