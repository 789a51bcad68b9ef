"""The worker under fault: copies entries after calls of different length, and counts the copies in a table."""

import asyncio
import json
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from schemas.records import CircuitState, Outcome
from streams.app import App
from streams.emit import Emit
from streams.settings import EngineSettings, KafkaSettings, Settings
from tests.chaos.generations import ids
from tests.chaos.ledger import NOW, PARTITIONS, TABLE, Ledger
from tests.one_unit import GROUP_SUFFIX, run

SESSION_S = 3.0
STALL_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One worker; also the command line of the program, as JSON."""

    bootstrap: str
    prefix: str
    worker: str
    replication: int = 1
    call_ms: int = 10
    session_s: float = SESSION_S
    metadata_s: float = 60.0
    clock: str = ""  # a file with the seconds by which the wall clock is wrong


class WrongClock:
    """The machine's clock, wrong by what a file says."""

    def __init__(self, file: str) -> None:
        self._file = file

    def now(self) -> datetime:
        """Return the time, UTC."""
        now = datetime.now(UTC)
        if not self._file:
            return now
        with open(self._file, encoding="ascii") as file:  # noqa: PTH123 - read for every record
            return now + timedelta(seconds=float(file.read() or 0))


def main(post: Post) -> None:
    """Keep the books."""
    ledger = Ledger(post.prefix)

    async def copy(entry: Outcome, emit: Emit) -> None:
        await asyncio.sleep(post.call_ms * (1 + entry.latency_ms % 4) / 4000)
        emit(ledger.copies, entry)

    def declare(app: App) -> None:
        counts = app.owned_table(TABLE, CircuitState, initial)
        app.stage(ledger.reads, name="copy", in_flight=64)(copy)

        @app.stage(ledger.copies, name="count")
        def count(entry: Outcome, _emit: Emit) -> None:
            counts.update(entry.dependency, one_more)

        async def obey() -> None:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, lose_the_fetch_loop, app)
            loop.add_signal_handler(signal.SIGUSR2, lose_the_commits, app)

        async def tell(_app: App, assigned: Collection[Any], **_: object) -> None:
            with suppress(OSError):  # the disk of the log is full
                sys.stdout.write(f"assigned {len(assigned)} generation {app.consumer_generation_id}\n")
                sys.stdout.flush()

        cast("Any", app.conf).consumer_metadata_max_age_ms = int(post.metadata_s * 1000)
        app.task(obey)
        cast("Any", app.on_partitions_assigned).connect(tell)

    run(
        Settings(
            kafka=KafkaSettings(
                bootstrap=post.bootstrap,
                topic_prefix=ledger.group.removesuffix(GROUP_SUFFIX),
                partitions=PARTITIONS,
                replication=post.replication,
                min_insync_replicas=post.replication // 2 + 1,
            ),
            engine=EngineSettings(
                worker_id=post.worker,
                commit_interval_s=0.2,
                session_timeout_s=post.session_s,
                heartbeat_s=0.5,
                drain_s=2.0,
                stall_s=STALL_S,
            ),
        ),
        [ledger.reads, ledger.copies],
        dead_letters=ledger.dead_letters,
        results=ledger.results,  # type: ignore[arg-type]  # nothing here ends a request
        declare=declare,
        clock=WrongClock(post.clock),
        ids=ids(),
    )


def lose_the_fetch_loop(app: Any) -> None:  # noqa: ANN401 - its consumer is Faust's
    """Let the loop that takes records stop without a word."""

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    app.consumer._take_once = never


def lose_the_commits(app: Any) -> None:  # noqa: ANN401 - as above
    """Let every commit fail from now on, while records are handled."""

    async def refuse(_: object) -> bool:
        return False

    app.consumer._commit = refuse


def initial(key: str) -> CircuitState:
    """Return the row of a key that was never counted."""
    return CircuitState(dependency=key, as_of=NOW, counted={})


def one_more(state: CircuitState) -> CircuitState:
    """Count one."""
    return replace(state, failures=state.failures + 1)


if __name__ == "__main__":
    main(Post(**json.loads(sys.argv[1])))
