"""Ports for the broker, on 127.0.0.1 only."""

import random
import socket

from streams.errors import EmbeddedStackFailed
from topology.embedded.properties import HOST

PORT_SETTING = "FORGESTREAM_EMBEDDED_PORT"
# below every system's range for outgoing connections: such a port cannot be taken between our look and Java's
FIRST, LAST = 20_000, 32_000
TRIES = 200


def chosen_ports(configured: int) -> tuple[int, int]:
    """Return a port for clients (the configured one, if any) and one for the controller.

    Raises:
        EmbeddedStackFailed: the configured port is taken.
    """
    if configured and not is_free(configured):
        raise EmbeddedStackFailed(
            f"port {configured} on {HOST} is taken by another program; set {PORT_SETTING} to another, or to 0 for any"
        )
    port = configured or _free_port(())
    return port, _free_port((port,))


def free_ports(count: int) -> tuple[int, ...]:
    """Return different free ports."""
    found: tuple[int, ...] = ()
    while len(found) < count:
        found += (_free_port(found),)
    return found


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError:
            return False
        return True


def _free_port(excluded: tuple[int, ...]) -> int:
    for _ in range(TRIES):
        port = random.SystemRandom().randrange(FIRST, LAST)
        if port not in excluded and is_free(port):
            return port
    raise EmbeddedStackFailed(f"no free port between {FIRST} and {LAST} on {HOST}")
