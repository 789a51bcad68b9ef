"""Our engine with the orders of plain Faust: the same work, the same failures."""

import json
import sys

from schemas.records import Result
from streams.app import App
from streams.emit import Emit
from streams.settings import EngineSettings, KafkaSettings, Settings
from tests.broker.places import raw, topic
from tests.broker.plain_faust.orders import POISON, SMALL_BYTES, Failure, Place
from tests.one_unit import GROUP_SUFFIX, run


def main(bootstrap: str, place: Place) -> None:
    """Settle orders."""
    reads, writes = raw(place.reads), raw(place.writes)

    def settle(order: bytes, emit: Emit) -> None:
        number = json.loads(order)["number"]
        if number == POISON and place.failure == Failure.RAISING:
            raise ValueError("this order cannot be settled")
        too_large = number == POISON and place.failure == Failure.UNDELIVERABLE
        text = "x" * 2 * SMALL_BYTES if too_large else "settled"
        emit(writes, json.dumps({"number": number, "text": text}).encode())

    def declare(app: App) -> None:
        app.stage(reads, name="settle")(settle)

    run(
        Settings(
            kafka=KafkaSettings(bootstrap=bootstrap, topic_prefix=place.group.removesuffix(GROUP_SUFFIX), partitions=1),
            engine=EngineSettings(commit_interval_s=0.1, drain_s=0.5, compression="none"),
        ),
        [reads, writes],
        dead_letters=raw(place.dead_letters),
        results=topic(place.results, Result, lambda result: result.origin.request_id),
        declare=declare,
    )


if __name__ == "__main__":
    main(sys.argv[1], Place(*sys.argv[2:]))
