"""What can be known of the deployment files without a container engine."""

import fnmatch
import importlib.resources
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from streams.settings import PREFIX, Settings, reference
from topology.embedded.jars import JarLock
from topology.units import Unit

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
UNITS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def instructions(word: str) -> Iterator[list[str]]:
    """Yield the arguments of every such instruction of the Dockerfile."""
    return (shlex.split(line)[1:] for line in DOCKERFILE.splitlines() if line.startswith(f"{word} "))


def test_the_compose_file_follows_the_official_schema() -> None:
    """The schema of the Compose Specification, as `check-jsonschema` ships it."""
    shipped = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(shipped.read_text(encoding="utf-8"))

    problems = [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(COMPOSE)
    ]

    assert problems == []


def test_the_compose_file_runs_every_unit_and_no_other() -> None:
    """Each unit is one service of that name, with a worker id of its own."""
    started = {name: unit["command"] for name, unit in UNITS.items()}

    assert started == {name: ["worker", "--unit", name] for name in Unit}
    assert len({unit["environment"]["FORGESTREAM_ENGINE_WORKER_ID"] for unit in UNITS.values()}) == len(UNITS)


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
def test_the_settings_of_every_unit_are_valid(unit: Mapping[str, Any]) -> None:
    """Names and values are those that `Settings.read` accepts; no secret stands in the file."""
    given = unit["environment"]

    read = Settings.read(given)

    assert read.kafka.bootstrap == "kafka:9092"
    masked = {row.name for row in reference(read) if row.value == "***"}
    assert masked == set()


@each_service
def test_every_service_is_watched_bounded_and_pinned(service: Mapping[str, Any]) -> None:
    """Health check, memory limit, restart policy, bounded logs, a version of its image."""
    assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+[\w.-]*", service["image"])


@each_service
def test_ports_are_open_to_this_machine_only(service: Mapping[str, Any]) -> None:
    """Nothing of the stack asks for a password."""
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@each_service
def test_named_volumes_are_labelled_and_bound_files_may_be_read_under_selinux(service: Mapping[str, Any]) -> None:
    """A volume says what it holds and whether to back it up; a bind mount is read-only, relabelled and exists."""
    for volume in service.get("volumes", ()):
        source, _target, *options = volume.split(":")
        if source.startswith("."):
            assert options == ["ro,z"]
            assert (ROOT / source).is_file()
        else:
            assert {"io.forgestream.holds", "io.forgestream.backup"} <= COMPOSE["volumes"][source]["labels"].keys()


@each_service
def test_a_service_waits_for_the_health_of_what_it_needs(service: Mapping[str, Any]) -> None:
    """No service starts on the mere start of another."""
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how == {"condition": "service_healthy"}


def test_every_file_the_image_copies_exists_and_reaches_the_build() -> None:
    """`COPY` sources are in the tree, and `.dockerignore` lets them through."""
    let_through = [
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    ]
    sources = [
        source.rstrip("/") for words in instructions("COPY") if "--from=build" not in words for source in words[:-1]
    ]

    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not any(fnmatch.fnmatch(source, kept) for kept in let_through)] == []


def test_the_image_is_installed_from_the_locks_and_does_not_run_as_root() -> None:
    """Hash-checked packages, a numeric user, a health check, the command as entry point."""
    ran = " ".join(" ".join(words) for words in instructions("RUN"))

    assert ran.count("--require-hashes") == ran.count("requirements/bootstrap.lock") + ran.count(
        "requirements/runtime.lock"
    )
    assert ran.count("--require-hashes") > 0
    assert list(instructions("USER")) == [["10001:10001"]]
    assert "HEALTHCHECK" in DOCKERFILE
    assert 'ENTRYPOINT ["forgestream"]' in DOCKERFILE


def test_the_example_of_settings_names_real_settings() -> None:
    """Every commented name exists, with or without `_FILE`."""
    known = {row.name for row in reference(Settings())}
    example = (ROOT / "deploy/forgestream.env.example").read_text(encoding="utf-8")

    named = {name.removesuffix("_FILE") for name in re.findall(rf"^#({PREFIX}\w+)=", example, re.MULTILINE)}

    assert named
    assert named <= known


def test_the_stack_runs_the_kafka_that_the_tests_run_on() -> None:
    """One version in the compose file and in the embedded stack."""
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{JarLock.read().kafka}"
