"""Runs the broker, and ends it when the process that asked for it is gone, however that died.

Standard library only: started as a file by `python -I -S`, so that it is up in 20 ms and small. It notices the end of
its parent by the end of its standard input (a pipe the parent holds) and by its own parent's id. On Linux the kernel
kills the broker when this process itself is killed; elsewhere the next start does (`claim` in storage.py).
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1
POLL_S = 0.1


def main(order: Mapping[str, Any]) -> int:
    """Run `command` until it ends by itself, the parent is gone, or SIGTERM comes."""
    parent, stopping, orphaned = os.getppid(), False, False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    with open(order["log"], "ab", buffering=0) as log:  # noqa: PTH123 - pathlib would double the start time
        broker = subprocess.Popen(  # noqa: S603 - our own command line
            order["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=order["directory"],
            pass_fds=order["keep_open"],
            preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - one thread only here
        )
    os.write(1, f"{broker.pid}\n".encode())
    while broker.poll() is None and not stopping and not orphaned:
        readable, _, _ = select.select([0], [], [], POLL_S)
        orphaned = bool(readable and not os.read(0, 4096)) or os.getppid() != parent
    code = _ended(broker, order["grace_s"])
    _keep_archive(order["archive"], complete=code in {0, 128 + signal.SIGTERM, -signal.SIGTERM})
    if order["discard"] and orphaned:
        shutil.rmtree(order["discard"], ignore_errors=True)
    return code if code >= 0 else 128 - code


def _dies_with(supervisor: int) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:
            os._exit(1)

    return ask


def _ended(broker: "subprocess.Popen[bytes]", grace_s: float) -> int:
    if broker.poll() is None:
        broker.terminate()
    try:
        return broker.wait(grace_s)
    except subprocess.TimeoutExpired:
        broker.kill()
        return broker.wait()


def _keep_archive(names: "list[str] | None", *, complete: bool) -> None:
    if names:
        with suppress(OSError):
            if complete:
                os.replace(*names)  # noqa: PTH105 - an atomic rename, by its usual name
            else:
                os.unlink(names[0])  # noqa: PTH108 - pathlib would double the start time


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
