"""A stage whose calls take long: 500 of one partition are under way at the same time."""

import asyncio
import sys
from pathlib import Path

from schemas.records import Result
from streams.app import App
from streams.emit import Emit
from streams.settings import EngineSettings, KafkaSettings, Settings
from tests.broker.places import Place, raw, topic
from tests.one_unit import GROUP_SUFFIX, run

IN_FLIGHT = 500
CALL_S = 0.3


def main(bootstrap: str, place: Place) -> None:
    """Copy records, each after a call; the marker appears when 500 calls are under way."""
    reads, writes = raw(place.reads), raw(place.writes)
    under_way, marker = 0, Path(place.marker)

    async def call(record: bytes, emit: Emit) -> None:
        nonlocal under_way
        under_way += 1
        if under_way == IN_FLIGHT:
            mark(marker)
        await asyncio.sleep(CALL_S)
        under_way -= 1
        emit(writes, record)

    def declare(app: App) -> None:
        app.stage(reads, name="call", in_flight=IN_FLIGHT)(call)

    run(
        Settings(
            kafka=KafkaSettings(bootstrap=bootstrap, topic_prefix=place.group.removesuffix(GROUP_SUFFIX), partitions=1),
            engine=EngineSettings(commit_interval_s=0.1),
        ),
        [reads, writes],
        dead_letters=raw(place.dead_letters),
        results=topic(place.results, Result, lambda result: result.origin.request_id),
        declare=declare,
    )


def mark(marker: Path) -> None:
    """Say that the moment has come."""
    marker.touch()


if __name__ == "__main__":
    main(sys.argv[1], Place(*sys.argv[2:]))
