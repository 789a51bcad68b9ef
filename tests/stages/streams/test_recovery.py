"""Recovered tables: what counts of a changelog, and what was acknowledged but is not in it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import aiokafka
import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.records import CircuitState, TextQuery
from streams.emit import Emit
from streams.errors import TableLost
from streams.lanes import TopicPartition
from streams.recovery import Commit, Recovery, check, note
from streams.settings import KafkaSettings
from streams.tables import TENURE_HEADER, Change, ChangelogTable, OwnedTable, tenure_in
from tests.fakes.changelog import Logged, ScriptedConsumer
from tests.given import NOON
from tests.stages.streams.bench import CIRCUITS, TP, Bench, a_bench

CHANGELOG = "circuits-changelog"
PLACE = aiokafka.TopicPartition(CHANGELOG, 0)
KEY = b"model"


def closed(key: str) -> CircuitState:
    return CircuitState(dependency=key, as_of=NOON, counted={})


def failed(state: CircuitState) -> CircuitState:
    return replace(state, failures=state.failures + 1)


class Log:
    """A changelog as a recovery reads it, and the table it is read into."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.serde = bench.engine.serde(CIRCUITS)
        self.rows = ChangelogTable("circuits", CHANGELOG, self.serde, bench.producer)
        self.table: OwnedTable[CircuitState] = OwnedTable(self.rows, self.serde, closed)
        self.end = 0

    def says(self, failures: int, counted: Mapping[str, int], *, tenure: int = 0) -> int | None:
        """Read one more change; returns the failures the row then has."""
        return self.holds(self.serde.encode(replace(closed("model"), failures=failures, counted=counted)), tenure)

    def holds(self, value: bytes | None, tenure: int) -> int | None:
        """Read one more change, as bytes."""
        self.rows.apply(Change(0, self.end, KEY, value, tenure))
        self.end += 1
        found = self.table.get("model")
        return None if found is None else found.failures


async def test_of_one_tenure_the_value_that_has_counted_more_holds() -> None:
    log = Log(await a_bench())

    assert log.says(1, {"outcomes-0": 3}) == 1
    assert log.says(4, {"outcomes-0": 7}) == 4
    assert log.says(2, {"outcomes-0": 5}) == 4
    assert log.holds(b"\xff", 0) == 4
    assert log.says(5, {"outcomes-0": 8, "commands-0": 0}) == 5
    assert log.holds(None, 0) is None


async def test_a_late_value_of_an_earlier_tenure_is_left_out_whatever_it_has_counted() -> None:
    log = Log(await a_bench())

    assert log.says(4, {"outcomes-0": 7}, tenure=9) == 4
    assert log.says(9, {"outcomes-0": 12}, tenure=5) == 4
    assert log.holds(None, 5) == 4
    assert log.says(5, {"outcomes-0": 8}, tenure=9) == 5


async def test_a_later_tenure_holds_although_a_late_value_before_it_has_counted_more_of_another_source() -> None:
    """The successor had recovered without the late value, and has acknowledged command 5; outcome 9 it reads again."""
    log = Log(await a_bench())
    log.says(1, {"outcomes-0": 7, "commands-0": 3}, tenure=2)

    log.says(3, {"outcomes-0": 9, "commands-0": 3}, tenure=2)

    assert log.says(2, {"outcomes-0": 8, "commands-0": 5}, tenure=4) == 2


async def test_a_tenure_has_a_higher_number_than_those_before_it_even_where_offsets_begin_anew() -> None:
    log = Log(await a_bench())
    log.says(1, {"outcomes-0": 3}, tenure=500)

    log.rows.begin(0, 1)

    assert await written_tenure(log) == 501


async def test_a_change_carries_the_end_at_which_its_tenure_began() -> None:
    log = Log(await a_bench())

    log.rows.begin(0, 40)

    assert await written_tenure(log) == 40


async def written_tenure(log: Log) -> int:
    """Let a stage change the row; returns the tenure it wrote."""

    def handler(record: TextQuery, emit: Emit) -> None:
        log.table.update("model", failed)

    log.bench.stage(handler)
    await log.bench.put(log.bench.text(600))
    return tenure_in(log.bench.producer.to(CHANGELOG)[-1].headers)


async def test_what_is_no_number_is_no_tenure() -> None:
    assert tenure_in([]) == 0
    assert tenure_in([(TENURE_HEADER, b"-1")]) == 0
    assert tenure_in([(TENURE_HEADER, b"x")]) == 0
    assert tenure_in([("other", b"7"), (TENURE_HEADER, b"8")]) == 8


async def test_a_partition_that_comes_back_is_read_from_its_start_although_a_write_was_confirmed_meanwhile() -> None:
    """Its rows are gone, so what this worker itself has written last says nothing of those before it."""
    bench = await a_bench()
    bench.producer.confirms = False
    log = Log(bench)
    log.says(1, {"texts-0": 3})
    log.rows.begin(0, 1)

    def handler(record: TextQuery, emit: Emit) -> None:
        log.table.update("model", failed)

    bench.stage(handler)
    await bench.put(bench.text(4))
    log.rows.keep([1])
    bench.producer.confirm()

    assert log.table.get("model") is None
    assert log.rows.read_up_to(0) == 0
    assert log.rows.end(0) == 1


async def test_a_partition_that_stays_is_read_on_from_where_it_was_read() -> None:
    log = Log(await a_bench())
    log.says(1, {"outcomes-0": 3})

    log.rows.keep([0, 1])

    assert log.rows.read_up_to(0) == 1
    assert log.rows.read_up_to(1) == 0
    assert log.table.get("model") is not None


async def test_a_changelog_that_ends_before_what_was_acknowledged_is_refused() -> None:
    log = Log(await a_bench())
    place, source = PLACE, TopicPartition("outcomes", 0)
    places = {place: (log.rows, 0)}

    check(places, {place: 40}, {source: Commit(100, "sessions=90,circuits=40")})
    with pytest.raises(TableLost, match="circuits-changelog-0 ends at 0, 40 was acknowledged") as refused:
        check(places, {place: 0}, {source: Commit(100, "sessions=90,circuits=40"), TP: Commit(3)})
    log.rows.begin(0, 40)
    with pytest.raises(TableLost):  # this worker itself has read more
        check(places, {place: 39}, {})

    assert "changelog-lost" in refused.value.message


@pytest.mark.parametrize("text", ["", "circuits", "circuits=", "circuits=x", "circuits=-4", "other=50", ",,=,"])
async def test_a_note_that_says_nothing_refuses_nothing(text: str) -> None:
    log = Log(await a_bench())

    check({PLACE: (log.rows, 0)}, {PLACE: 0}, {TopicPartition("outcomes", 0): Commit(100, text)})


async def test_a_commit_notes_how_far_the_changelogs_go_that_its_records_have_changed() -> None:
    log, source = Log(await a_bench()), TP
    log.rows.begin(0, 17)

    before = note([log.rows], source)
    await written_tenure(log)

    assert before == ""
    assert note([log.rows], source) == "circuits=17"
    assert note([log.rows], TopicPartition("texts", 1)) == ""
    assert note([log.rows], TopicPartition("requests", 0)) == ""


def a_log(log: Log, count: int) -> list[Logged]:
    """Return changes of as many keys, with gaps between them as a compaction leaves."""
    return [
        Logged(
            2 * number, b"model-%d" % number, log.serde.encode(replace(closed("model"), counted={"texts-0": number}))
        )
        for number in range(count)
    ]


async def recovered(log: Log, *consumers: ScriptedConsumer, mine: Callable[[], bool] = lambda: True) -> Recovery:
    """Recover partition 0 of the table with one consumer after the other."""
    opened = iter(consumers)
    recovery = Recovery(KafkaSettings(timeout_s=0.05), cast("Any", lambda _: next(opened)))
    await recovery.recover([log.rows], {TP: Commit(0)}, mine)
    return recovery


async def test_a_recovery_reads_a_changelog_once_to_its_end() -> None:
    log = Log(await a_bench())
    consumer = ScriptedConsumer({PLACE: a_log(log, 5)})

    recovery = await recovered(log, consumer)

    assert sorted(log.rows) == [b"model-%d" % number for number in range(5)]
    assert consumer.read == [(PLACE, offset) for offset in (0, 2, 4, 6, 8)]
    assert (log.rows.read_up_to(0), await written_tenure(log)) == (9, 9)
    assert recovery.progress > 5
    assert consumer.stopped


async def test_a_recovery_that_the_next_rebalance_overtakes_is_given_up_and_the_next_goes_on_from_there() -> None:
    """Rows that were read stay, nothing is read twice, and no row is missed."""
    log, mine = Log(await a_bench()), [True]
    changes = a_log(log, 6)

    def rebalance(read: int) -> None:
        mine[0] = read < 2

    first = ScriptedConsumer({PLACE: changes}, before_fetch=rebalance)
    await recovered(log, first, mine=lambda: mine[0])
    half_way = len(log.rows)
    second = ScriptedConsumer({PLACE: changes})
    await recovered(log, second)

    assert half_way == len(first.read) == 6 - len(second.read)
    assert 0 < half_way < 6
    assert [offset for _, offset in first.read + second.read] == [change.offset for change in changes]
    assert len(log.rows) == 6


async def test_a_recovery_waits_for_a_broker_and_begins_again_with_one_that_went_silent() -> None:
    log = Log(await a_bench())
    changes = {PLACE: a_log(log, 3)}
    refused = ScriptedConsumer(changes, fails=KafkaConnectionError("no broker"))
    silent = ScriptedConsumer(changes, silent=True)

    await recovered(log, refused, silent, ScriptedConsumer(changes))

    assert len(log.rows) == 3
    assert refused.stopped
    assert silent.stopped


async def test_a_recovery_of_a_changelog_that_lost_changes_is_refused_before_a_row_is_read() -> None:
    log = Log(await a_bench())
    consumer = ScriptedConsumer({PLACE: a_log(log, 2)})
    recovery = Recovery(KafkaSettings(), cast("Any", lambda _: consumer))

    with pytest.raises(TableLost):
        await recovery.recover([log.rows], {TP: Commit(9, "circuits=40")}, lambda: True)

    assert consumer.read == []
    assert consumer.stopped
