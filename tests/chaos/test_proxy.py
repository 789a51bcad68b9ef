"""The proxy does to a connection what its links say."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import FaultProxy, Link
from topology.embedded.ports import free_ports

WAIT_S = 0.3


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """A port to listen on, and one behind which every byte comes back."""
    front, back = free_ports(2)
    with socket.create_server(("127.0.0.1", back)) as server:

        def echo() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=_back, args=(connection,), daemon=True).start()

        threading.Thread(target=echo, daemon=True).start()
        yield front, back
        server.shutdown(socket.SHUT_RDWR)


def _back(connection: socket.socket) -> None:
    with connection:
        while True:
            try:
                chunk = connection.recv(100)
            except OSError:
                return
            if not chunk:
                return
            connection.sendall(chunk)


def test_an_open_link_carries_both_directions(ports: tuple[int, int]) -> None:
    with FaultProxy(*ports), socket.create_connection(("127.0.0.1", ports[0]), 5) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"


def test_a_lossy_link_delays_and_loses_no_byte_of_a_connection(ports: tuple[int, int]) -> None:
    sent = b"".join(b"%06d" % number for number in range(20))
    received = b""
    with FaultProxy(*ports) as proxy, socket.create_connection(("127.0.0.1", ports[0]), 5) as client:
        proxy.become(Link.LOSSY)
        client.settimeout(20)
        client.sendall(sent)
        while len(received) < len(sent):
            received += client.recv(100)

    assert received == sent


def test_a_half_open_link_stays_connected_in_silence_and_is_reset_when_it_heals(ports: tuple[int, int]) -> None:
    with FaultProxy(*ports) as proxy, socket.create_connection(("127.0.0.1", ports[0]), 5) as client:
        client.sendall(b"a")
        assert client.recv(100) == b"a"
        proxy.become(Link.HALF_OPEN)
        client.sendall(b"hello")
        client.settimeout(WAIT_S)
        with pytest.raises(TimeoutError):
            client.recv(100)
        client.settimeout(5)
        proxy.become(Link.OPEN)
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_a_cut_link_resets_what_is_there_and_what_comes(ports: tuple[int, int]) -> None:
    with FaultProxy(*ports) as proxy, socket.create_connection(("127.0.0.1", ports[0]), 5) as client:
        client.sendall(b"a")
        assert client.recv(100) == b"a"
        proxy.become(Link.CUT)
        with pytest.raises(ConnectionResetError):
            client.recv(100)
        with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", ports[0]), 5) as another:
            another.recv(100)
