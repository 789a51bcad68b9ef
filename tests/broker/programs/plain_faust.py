"""Agents as Faust's manual writes them, every setting at its default but those that a test needs to be quick."""

import sys
import tempfile
from pathlib import Path

import faust
from faust.types import StreamT

from tests.broker.plain_faust.orders import POISON, Failure, Place


class Order(faust.Record, serializer="json"):
    """What the agents read and write."""

    number: int
    text: str = ""


def build(bootstrap: str, place: Place) -> faust.App:
    """Make the app with the one agent that meets the failure."""
    app = faust.App(
        place.group,
        broker=f"kafka://{bootstrap}",
        datadir=Path(tempfile.gettempdir(), place.group),  # Faust's default is below the current directory
        web_enabled=False,  # its port is fixed
        broker_commit_interval=0.1,
        consumer_auto_offset_reset="earliest",
        topic_partitions=1,
    )
    reads = app.topic(place.reads, value_type=Order)
    writes = app.topic(place.writes, value_type=Order)

    async def settle(orders: StreamT[Order]) -> None:
        async for order in orders:
            if order.number == POISON and place.failure == Failure.RAISING:
                raise ValueError("this order cannot be settled")
            too_large = order.number == POISON and place.failure == Failure.UNDELIVERABLE
            await writes.send(key=str(order.number), value=Order(order.number, "x" * 5000 if too_large else "settled"))

    app.agent(reads, name="settle")(settle)
    return app


if __name__ == "__main__":
    bootstrap, *place = sys.argv[1:]
    faust.Worker(build(bootstrap, Place(*place)), loglevel="info").execute_from_commandline()
