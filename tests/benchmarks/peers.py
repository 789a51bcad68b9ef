"""Environments that cannot be ours: peers that want other versions, packages of which only the files are used."""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

PEERS = Path(__file__).with_name("peers.lock")
RECORDINGS = Path(__file__).with_name("recordings.lock")


def python_of(lock: Path, cache: Path) -> str:
    """Return the Python that has what a lock names, made on first use; its folder carries the hash of the lock."""
    digest = sha256(lock.read_bytes()).hexdigest()[:16]
    home = cache / f"benchmark-{lock.stem}" / f"{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    python = home / "bin" / "python"
    if (home / "complete").exists():
        return str(python)
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
    ]
    subprocess.run([*install, "-r", str(lock)], check=True)
    (home / "complete").touch()
    return str(python)


def versions(python: str, names: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions of packages in an environment."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]), sep='\\n')"
    return dict(zip(names, _said(python, code, *names).split(), strict=True))


def folder_of(python: str, package: str) -> Path:
    """Return where an environment has a package, none of whose code runs."""
    code = (
        "import sys; from importlib.util import find_spec; print(find_spec(sys.argv[1]).submodule_search_locations[0])"
    )
    return Path(_said(python, code, package).strip())


def _said(python: str, code: str, *arguments: str) -> str:
    return subprocess.run([python, "-c", code, *arguments], check=True, capture_output=True, text=True).stdout
