"""Documents that speak of the code say what the code says."""

import re
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from docs import generate
from streams import errors
from streams.settings import PREFIX, Settings, reference
from topology.cli import root

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def test_generated_documents_are_current() -> None:
    """What `make docs` would change is nothing."""
    assert [path.name for path, _ in generate.stale()] == []


def test_every_runbook_an_error_names_exists() -> None:
    """The docstring of an error sends the operator to a page that is there."""
    taxonomy = Path(errors.__file__).read_text(encoding="utf-8")
    named = re.findall(r"runbook `([a-z-]+)`", taxonomy)

    assert named
    assert [name for name in named if not (ROOT / f"docs/runbooks/{name}.md").is_file()] == []


@each_document
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Relative links point to files of the repository."""
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


@each_document
def test_settings_that_a_document_names_exist(document: Path) -> None:
    """A renamed setting does not live on in a runbook."""
    known = {row.name for row in reference(Settings())}
    named = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", document.read_text(encoding="utf-8")))

    assert {name for name in named if name not in known and name.removesuffix("_FILE") not in known} == set()


@each_document
def test_test_names_that_a_document_quotes_exist(document: Path) -> None:
    """A promise names the test that proves it."""
    quoted = set(re.findall(r"`(test_\w+)`", document.read_text(encoding="utf-8")))
    existing = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in (*re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")), path.stem)
    }

    assert quoted - existing == set()


@each_document
def test_commands_that_a_document_shows_exist(document: Path) -> None:
    """`forgestream <command>` in code, with the sub-command of a group."""
    shown = re.findall(
        r"(?:`|^)forgestream ([a-z][a-z-]+)(?: ([a-z][a-z-]*))?", document.read_text(encoding="utf-8"), re.MULTILINE
    )
    known = cast("Any", typer.main.get_command(root.commands())).commands

    unknown = [
        f"{name} {sub}"
        for name, sub in shown
        if name not in known or (hasattr(known[name], "commands") and sub and sub not in known[name].commands)
    ]

    assert unknown == []
