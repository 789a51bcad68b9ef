"""Where downloads are kept, and locks that the kernel gives back when their holder dies."""

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from streams.errors import EmbeddedStackFailed


def cache_directory(configured: str, environ: Mapping[str, str]) -> Path:
    """Return the configured directory, else `forgestream` in the user's cache directory (XDG)."""
    if configured:
        return Path(configured).expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "forgestream"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path` alone among all processes and threads of this machine; waits for the present holder."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def disk_errors(what: str, directory: Path, setting: str) -> Iterator[None]:
    """Say which directory cannot be written, why, and which setting moves it.

    Raises:
        EmbeddedStackFailed: for a full disk, a missing permission or a file where a directory belongs.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise EmbeddedStackFailed(
                f"the disk is full: cannot write {what} to {directory}; free some space or move it with {setting}"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR}:
            reason = os.strerror(error.errno).lower()
            raise EmbeddedStackFailed(f"cannot write {what} to {directory} ({reason}); set {setting}") from error
        raise
