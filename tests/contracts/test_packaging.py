"""What is installed is what is locked, and what is shipped is what is in the tree."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = "forgestream"
PACKAGES = ("schemas", "streams", "agents", "topology")
LOCKS = sorted([*(ROOT / "requirements").glob("*.lock"), *(ROOT / "tests").rglob("*.lock")])
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;\\]+)(?P<marker>\s*;[^\\]+)?\s*\\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
# Written so that no pattern finds itself.
NOT_OURS_TO_NAME = re.compile(
    r"/[w]ork/|/[f]arm/|/[r]oot/|pypi[.]org|pythonhosted[.]org|repo1?[.]maven|maven[.]org|npmjs[.]org|proxy[.]golang|crates[.]io"
)


def pins(lock: Path) -> Mapping[str, set[str]]:
    """Return package -> versions; a package may have one version per Python."""
    found: dict[str, set[str]] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if pin := PIN.match(line):
            found.setdefault(pin["name"], set()).add(pin["version"])
    return found


def declared(*groups: str) -> Iterator[Requirement]:
    """Yield the requirements of pyproject.toml and of the groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    yield from map(Requirement, project["project"]["dependencies"])
    for group in groups:
        yield from (Requirement(entry) for entry in project["dependency-groups"][group] if isinstance(entry, str))


def test_no_dependency_claims_our_package_names() -> None:
    """`openai-agents` and others install a top-level `agents`; we must never share an environment."""
    owners = importlib.metadata.packages_distributions()

    claims = {name: set(owners.get(name, ())) - {DISTRIBUTION} for name in PACKAGES}

    assert claims == {name: set() for name in PACKAGES}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_line_of_a_lock_is_a_pin_with_hashes(lock: Path) -> None:
    """No address, no option and no unpinned package: only `name==version`, its hashes, and who asked for it."""
    lines = lock.read_text(encoding="utf-8").splitlines()

    strange = [line for line in lines if line.strip() and not (PIN.match(line) or HASH.match(line) or "#" in line)]
    naked = [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if PIN.match(line) and not HASH.match(following)
    ]

    assert strange == []
    assert naked == []
    assert "://" not in lock.read_text(encoding="utf-8")
    assert pins(lock)


def test_the_locks_hold_everything_that_pyproject_asks_for() -> None:
    """A dependency that was added without `make lock` is found here, without asking the registry."""
    locked = {
        **pins(ROOT / "requirements/models.lock"),
        **pins(ROOT / "requirements/bootstrap.lock"),
        **pins(ROOT / "requirements/develop.lock"),
    }

    missing = [
        str(wanted)
        for wanted in declared("bootstrap", "models", "test", "lint")
        if not (versions := locked.get(canonicalize_name(wanted.name)))
        or not all(map(wanted.specifier.contains, versions))
    ]

    assert missing == []


def test_the_image_runs_the_versions_that_were_tested() -> None:
    """Every pin of the runtime lock is a pin of the lock that the tests ran with."""
    tested = pins(ROOT / "requirements/develop.lock")

    assert {name: tested.get(name) for name in pins(ROOT / "requirements/runtime.lock")} == pins(
        ROOT / "requirements/runtime.lock"
    )


def test_this_run_uses_the_locked_versions() -> None:
    """A test that passed with other versions would prove nothing about the image."""
    locked = pins(ROOT / "requirements/develop.lock")

    others = {
        name: found.version
        for found in importlib.metadata.distributions()
        if (name := canonicalize_name(found.name)) in locked and found.version not in locked[name]
    }

    assert others == {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built the way the image builds it, from a copy: the tree stays as it is."""
    copy = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    out = tmp_path_factory.mktemp("wheel")
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(out)], cwd=copy, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_our_packages(wheel: Path) -> None:
    """Code, schemas with their ids, knowledge of the demo: nothing is left behind, nothing else comes along."""
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file()
    }

    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert shipped == {name for name in ours if "__pycache__" not in name}
    assert any(name.endswith(".avsc") for name in shipped)


def test_the_wheel_works_away_from_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    """The command starts from the unpacked wheel, in an empty folder."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    start = "import topology.cli as cli; print(cli.__file__, flush=True); cli.main()"

    ran = subprocess.run(
        [sys.executable, "-c", start, "settings", "--json"],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(str(tmp_path / "site"))
    assert "FORGESTREAM_KAFKA" in ran.stdout


def test_a_machine_without_a_recent_python_is_told_so_in_one_sentence(tmp_path: Path) -> None:
    """Exit code 2 and what to do; nothing is made."""
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname"):
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    (tmp_path / "bin/python3").write_text("#!/bin/sh\necho 'not installed'; exit 127\n", encoding="utf-8")
    (tmp_path / "bin/python3").chmod(0o755)

    ran = subprocess.run(
        [shutil.which("bash") or "bash", str(ROOT / "requirements/install.sh"), str(tmp_path / "venv")],
        env={"PATH": str(tmp_path / "bin")},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("forgestream: no Python >= 3.11 found")
    assert "make PYTHON=" in ran.stderr
    assert not (tmp_path / "venv").exists()


def test_no_committed_file_names_a_machine_or_a_registry() -> None:
    """The repository says what it needs, not where one machine found it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout.decode()

    found = [
        f"{name}: {hit[0]}"
        for name in listed.split("\0")
        if name
        and (ROOT / name).is_file()
        and (hit := NOT_OURS_TO_NAME.search((ROOT / name).read_text(encoding="utf-8", errors="replace")))
    ]

    assert found == []
