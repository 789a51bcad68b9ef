"""A stage that counts outcomes in a table and writes each new count."""

import sys
from dataclasses import replace
from datetime import UTC, datetime

from schemas.records import CircuitState, Outcome, Result
from streams.app import App
from streams.emit import Emit
from streams.settings import EngineSettings, KafkaSettings, Settings
from tests.broker.places import PARTITIONS, Place, circuit_states, outcomes, raw, topic
from tests.one_unit import GROUP_SUFFIX, run

BEGINNING = datetime(2026, 11, 21, tzinfo=UTC)


def main(bootstrap: str, place: Place) -> None:
    """Count."""
    reads, writes = outcomes(place.reads, PARTITIONS), circuit_states(place.writes, PARTITIONS)

    def declare(app: App) -> None:
        counts = app.owned_table("counts", CircuitState, initial)

        @app.stage(reads, name="count")
        def count(outcome: Outcome, emit: Emit) -> None:
            emit(writes, counts.update(outcome.dependency, one_more))

    run(
        Settings(
            kafka=KafkaSettings(
                bootstrap=bootstrap, topic_prefix=place.group.removesuffix(GROUP_SUFFIX), partitions=PARTITIONS
            ),
            engine=EngineSettings(commit_interval_s=0.1),
        ),
        [reads, writes],
        dead_letters=raw(place.dead_letters),
        results=topic(place.results, Result, lambda result: result.origin.request_id),
        declare=declare,
    )


def initial(dependency: str) -> CircuitState:
    """Return the state of a dependency nobody has called yet."""
    return CircuitState(dependency=dependency, as_of=BEGINNING, counted={})


def one_more(state: CircuitState) -> CircuitState:
    """Count one."""
    return replace(state, failures=state.failures + 1)


if __name__ == "__main__":
    main(sys.argv[1], Place(*sys.argv[2:]))
