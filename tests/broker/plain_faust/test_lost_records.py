"""Faust as it comes loses a record in each of these ways; here nothing is lost. Same orders, same broker."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.broker.plain_faust.orders import GARBAGE, ORDERS, POISON, SMALL_BYTES, Failure, Place
from tests.child import Child, program
from tests.cluster import Cluster
from tests.eventually import eventually

PLAIN = "plain_faust"
OURS = "forgestream"
WITHIN_S = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of the ten orders once all of them were acknowledged."""

    written: frozenset[int]
    dead_letters: tuple[bytes, ...]
    stops: int  # times the worker stopped by itself

    @property
    def lost(self) -> frozenset[int]:
        """Orders that are acknowledged and neither written nor kept."""
        kept = {POISON} if self.dead_letters else set()
        return frozenset(range(ORDERS)) - self.written - kept


Settle = Callable[[str, Failure], Settled]


@pytest.fixture
def settle(kafka: str, namespace: str, tmp_path: Path) -> Settle:
    """Run a program over the orders until it has acknowledged all; restart it if it stops, the broker mended."""

    def run(engine: str, failure: Failure) -> Settled:
        cluster, place, stops = Cluster(kafka), Place.of(failure, namespace), 0
        cluster.create([place.reads, place.dead_letters, place.results], 1)
        limit = {"max_message_bytes": str(SMALL_BYTES)} if failure is Failure.UNDELIVERABLE else {}
        cluster.create([place.writes], 1, **limit)
        cluster.fill(place.reads, orders(failure))
        command = program(f"broker.programs.{engine}", kafka, *place.arguments)
        with Child(command, tmp_path / f"{engine}.log") as worker:
            while (
                not eventually(
                    lambda: cluster.committed(place.group, [place.reads]) == ORDERS or worker.returncode is not None,
                    within_s=WITHIN_S,
                    what=f"{engine} acknowledges every order or stops\n{worker.tail()}",
                )
                or worker.returncode is not None
            ):
                stops += 1
                assert stops == 1, worker.tail()
                cluster.configure(place.writes, max_message_bytes=str(1_000_000))
                worker.start()
            worker.stop()
        return Settled(
            written=frozenset(json.loads(stored.value)["number"] for stored in cluster.read(place.writes)),
            dead_letters=tuple(stored.value for stored in cluster.read(place.dead_letters)),
            stops=stops,
        )

    return run


def orders(failure: Failure) -> list[tuple[bytes, bytes]]:
    """Return the orders as JSON, one of them garbage where that is the failure."""
    values = [json.dumps({"number": number, "text": "new"}).encode() for number in range(ORDERS)]
    if failure is Failure.UNDECODABLE:
        values[POISON] = GARBAGE
    return [(str(number).encode(), value) for number, value in enumerate(values)]


@pytest.mark.parametrize(("engine", "loses"), [(PLAIN, True), (OURS, False)])
def test_a_record_whose_handler_raises_is_acknowledged_by_faust_and_kept_here(
    settle: Settle, engine: str, loses: bool
) -> None:
    """Plain Faust acknowledges what failed: nobody will ever see the order again. Here it is a dead letter."""
    settled = settle(engine, Failure.RAISING)

    assert (POISON in settled.lost) == loses
    assert loses or not settled.lost


@pytest.mark.parametrize(("engine", "loses"), [(PLAIN, True), (OURS, False)])
def test_a_record_that_cannot_be_decoded_is_dropped_by_faust_and_kept_here(
    settle: Settle, engine: str, loses: bool
) -> None:
    """Plain Faust drops garbage. Here the original bytes are a dead letter."""
    settled = settle(engine, Failure.UNDECODABLE)

    assert (POISON in settled.lost) == loses
    assert settled.dead_letters == (() if loses else (GARBAGE,))


@pytest.mark.parametrize(("engine", "loses"), [(PLAIN, True), (OURS, False)])
def test_an_output_that_the_broker_refuses_is_a_log_line_in_faust_and_is_sent_again_here(
    settle: Settle, engine: str, loses: bool
) -> None:
    """Plain Faust only enqueues, and acknowledges. Here the worker stops, and goes on when the topic is mended."""
    settled = settle(engine, Failure.UNDELIVERABLE)

    assert settled.stops == (0 if loses else 1)
    assert (POISON in settled.lost) == loses
    assert loses or not settled.lost
