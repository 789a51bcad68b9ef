"""The broker's configuration and command line as text."""

from dataclasses import replace
from pathlib import Path

import pytest

from topology.embedded.properties import (
    Archives,
    Node,
    java_command,
    last_lines,
    meta_properties,
    parsed_properties,
    server_properties,
)
from topology.embedded.storage import kafka_uuid

NODE = Node(directory=Path("/data/kafka"), port=20001, controller_port=20002)


def test_the_broker_listens_on_this_machine_only() -> None:
    """No listener, advertised or not, names another address."""
    found = parsed_properties(server_properties(NODE))

    listeners = [*found["listeners"].split(","), *found["advertised.listeners"].split(",")]
    assert listeners == [
        "PLAINTEXT://127.0.0.1:20001",
        "CONTROLLER://127.0.0.1:20002",
        "PLAINTEXT://127.0.0.1:20001",
    ]


def test_topics_are_never_made_by_accident_and_records_of_16_mib_fit() -> None:
    """The two settings the rest of the system counts on."""
    found = parsed_properties(server_properties(NODE))

    assert found["auto.create.topics.enable"] == "false"
    assert int(found["message.max.bytes"]) > 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("/data/with space", "/data/with space/logs"),
        ("/data/back\\slash", "/data/back\\\\slash/logs"),
        ("/data/süß", "/data/s\\u00fc\\u00df/logs"),
        ("/data/🦊", "/data/\\ud83e\\udd8a/logs"),
    ],
)
def test_a_directory_of_any_name_is_written_as_java_reads_it(directory: str, expected: str) -> None:
    """A properties file is Latin-1 with escapes."""
    text = server_properties(replace(NODE, directory=Path(directory)))

    assert f"log.dirs={expected}\n" in text
    assert text.isascii()


def test_properties_are_read_back_whatever_stands_between_them() -> None:
    """Comments, empty lines and lines without a sign are left out."""
    text = "#a=b\n!c=d\n\nnonsense\n key = value=with=signs \n" + meta_properties("cluster", "directory")

    assert parsed_properties(text) == {
        "key": "value=with=signs",
        "version": "1",
        "cluster.id": "cluster",
        "node.id": "1",
        "directory.id": "directory",
    }


def test_an_id_is_22_characters_and_never_starts_like_an_option() -> None:
    """Kafka's tools would take a leading dash for an option."""
    ids = [kafka_uuid() for _ in range(500)]

    assert {len(each) for each in ids} == {22}
    assert not [each for each in ids if each.startswith("-")]
    assert len(set(ids)) == 500


def test_archives_are_named_after_everything_they_depend_on() -> None:
    """Another Java or another jar means another archive."""
    dependencies = [("25", "a.jar 1", "b.jar 2"), ("26", "a.jar 1", "b.jar 2"), ("25", "a.jar 1"), ("25", "a.jar 2")]
    archives = [Archives.of(Path("/cache"), *each) for each in dependencies]

    assert len({archive.base for archive in archives}) == 4
    assert len({archive.classes for archive in archives}) == 4


def test_the_command_line_ends_with_the_program_and_its_arguments() -> None:
    """Options for Java come before, and an archive is only written when it is asked for."""
    plain = java_command("/java", [Path("/a.jar"), Path("/b.jar")], "kafka.Kafka", "x.properties", heap_mb=256)
    writing = java_command("/java", [], "Main", heap_mb=1, archives=[Path("/base")], archive_to=Path("/new"))

    assert plain[0] == "/java"
    assert plain[-4:] == ("-cp", "/a.jar:/b.jar", "kafka.Kafka", "x.properties")
    assert "-Xmx256m" in plain
    assert not [option for option in plain if "Archive" in option]
    assert {"-XX:SharedArchiveFile=/base", "-XX:ArchiveClassesAtExit=/new"} <= set(writing)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", ""),
        ("a\nb\n\n", "  a\n  b"),
        ("x\nINFO fine\nERROR it broke\nINFO bye\n", "  ERROR it broke"),
        ("\n".join(f"ERROR {n}" for n in range(20)), "\n".join(f"  ERROR {n}" for n in range(12, 20))),
    ],
)
def test_the_last_lines_are_those_that_tell_of_the_failure(log: str, expected: str) -> None:
    """Errors before anything else; a log without any is shown as it ends."""
    assert last_lines(log) == expected
