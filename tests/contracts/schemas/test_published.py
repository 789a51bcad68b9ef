"""The public contract: what is committed under `schemas/avsc` is what the records say, and all of it is documented."""

import json
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from schemas import records
from schemas.avro_schema import PUBLISHED, schema_of
from schemas.compatibility import unreadable
from schemas.generate import FOLDER, main
from schemas.published import LOCK, published, versions
from streams.settings import KafkaSettings
from topology.topics import Topics

names = pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: record.__name__)


def test_the_committed_schemas_are_the_generated_ones() -> None:
    assert main(["--check"]) == 0


def test_every_file_has_an_id_and_every_id_a_file() -> None:
    there = {f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.avsc")}
    places = json.loads((FOLDER / LOCK).read_text()).values()

    assert sorted(places) == sorted(there)


@names
def test_versions_have_no_gap_and_the_newest_reads_them_all(record: type) -> None:
    known = versions(published(), record.__name__)

    assert [one.version for one in known] == list(range(1, len(known) + 1))
    assert [unreadable(one.schema, schema_of(record)) for one in known] == [[]] * len(known)


@names
def test_everything_is_documented_and_in_our_namespace(record: type) -> None:
    schema = schema_of(record)

    assert schema["namespace"] == "forgestream"
    assert [where for where, doc in docs(schema) if not doc or doc != doc.strip()] == []


def docs(schema: Any, where: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Yield the documentation of every record, enumeration and field."""
    if isinstance(schema, list):
        for arm in schema:
            yield from docs(arm, where)
    elif isinstance(schema, dict):
        if "name" in schema:
            yield f"{where}.{schema['name']}", schema.get("doc", "")
        for key in ("type", "items", "values"):
            yield from docs(schema.get(key), where)
        for field in schema.get("fields", ()):
            yield from docs(field, schema["name"])


def test_every_record_of_a_topic_or_table_is_published() -> None:
    """By what their docstrings say, and by what the topics really carry."""
    classes = [one for one in vars(records).values() if isinstance(one, type) and is_dataclass(one)]
    said = {one for one in classes if (one.__doc__ or "").startswith(("Topic `", "Table `"))}
    carried = {topic.record for topic in Topics.of(KafkaSettings())} - {bytes}

    assert said == set(PUBLISHED)
    assert carried <= set(PUBLISHED)


@names
def test_a_record_is_made_of_its_fields_alone(record: type) -> None:
    """The decoder sets the slots of a record without calling it."""
    assert not hasattr(record, "__post_init__")
    assert "__slots__" in vars(record)


def test_the_schemas_are_where_the_installed_package_looks() -> None:
    assert Path(str(files("schemas") / "avsc")) == FOLDER
