"""Connections to brokers that end at a bad moment."""

from typing import Any

import pytest
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from streams.connection import use_safe_connections


class ClosedWriter:
    """What is left of a uvloop connection that the other side has reset."""

    closed = False

    def write(self, _: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    def close(self) -> None:
        self.closed = True


async def test_a_write_to_a_closed_connection_is_a_lost_connection() -> None:
    """The RuntimeError itself would end the tasks that fetch, coordinate and ask for metadata."""
    use_safe_connections()
    broken: Any = conn.AIOKafkaConnection("127.0.0.1", 9092)
    broken._versions = {18: (0, 0)}
    broken._writer = writer = ClosedWriter()

    with pytest.raises(KafkaConnectionError, match="connection broken: unable to perform"):
        broken.send(ApiVersionRequest())

    broken._reader, broken._read_task = object(), DoneTask()
    with pytest.raises(KafkaConnectionError, match="connection broken"):
        broken.send(ApiVersionRequest())
    assert writer.closed
    assert broken._writer is None


class DoneTask:
    """A reader that has ended."""

    def done(self) -> bool:
        return True
