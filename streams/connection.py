"""aiokafka's connection on uvloop.

A write to a connection that the other side has just reset raises OSError at most on asyncio's own loop, which is what aiokafka expects, and
RuntimeError on uvloop: it would end the tasks that fetch, coordinate and ask for metadata, the last one without a word.
"""

from typing import Any

from aiokafka import conn
from aiokafka.errors import KafkaConnectionError


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """Reports what uvloop says of a closed transport as the lost connection that it is."""

    def send(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - aiokafka's signature
        """Send a request; the awaitable returned has its response."""
        try:
            return super().send(*args, **kwargs)
        except RuntimeError as error:
            self.close(reason=conn.CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"connection broken: {error}") from error


def use_safe_connections() -> None:
    """Let every aiokafka client made from now on use them: it takes the class from its module, there is no argument for it."""
    conn.AIOKafkaConnection = Connection
