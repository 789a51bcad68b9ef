"""The environment of the peers that cannot share ours."""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

LOCK = Path(__file__).with_name("peers.lock")


def python_of_peers(cache: Path) -> str:
    """Return the Python that has what peers.lock names, made on first use; its folder carries the hash of the lock."""
    digest = sha256(LOCK.read_bytes()).hexdigest()[:16]
    home = cache / "benchmark-peers" / f"{sys.version_info.major}.{sys.version_info.minor}-{digest}"
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
    subprocess.run([*install, "-r", str(LOCK)], check=True)
    (home / "complete").touch()
    return str(python)


def versions(python: str, names: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions of packages in an environment."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]), sep='\\n')"
    found = subprocess.run([python, "-c", code, *names], check=True, capture_output=True, text=True)
    return dict(zip(names, found.stdout.split(), strict=True))
