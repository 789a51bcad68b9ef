"""The scenarios of the published table: a fault, where it strikes, and what the producers put in meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.chaos import strikes
from tests.chaos.arena import Strike
from tests.chaos.ledger import Books
from tests.chaos.load import Entry, even, hot, mixed, poisoned
from tests.chaos.programs.bookkeeper import SESSION_S

RESTART_S = 30.0  # a session that outlasts a restart on a loaded machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the published table."""

    name: str
    meaning: str
    strike: Strike
    where: str = "alone"  # or "three nodes", or "behind a proxy"
    entry: Callable[[Books], Entry] = even
    rate: int = 300
    clock: str = ""
    session_s: float = SESSION_S
    faults: int = 8  # of one run of the long form


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="worker killed", meaning="SIGKILL of one or two of three workers", strike=strikes.kill),
        Scenario(
            name="worker frozen",
            meaning="SIGSTOP beyond the session timeout, then SIGCONT",
            strike=strikes.freeze,
            faults=3,
        ),
        Scenario(
            name="workers come and go", meaning="one more joins, any one leaves", strike=strikes.come_and_go, faults=3
        ),
        Scenario(
            name="rolling restart",
            meaning="each worker in turn; the others keep their partitions, unless it led the group",
            strike=strikes.roll,
            session_s=RESTART_S,
            faults=2,
        ),
        Scenario(
            name="poisoned records",
            meaning="each hundredth cannot be read; kills",
            strike=strikes.kill,
            faults=4,
            entry=poisoned,
        ),
        Scenario(
            name="hot key",
            meaning="90 % of the records have one key; kills",
            strike=strikes.kill,
            faults=4,
            entry=hot,
            rate=100,
        ),
        Scenario(
            name="schemas interleaved",
            meaning="each third is of an older, each third of a newer schema; kills",
            strike=strikes.kill,
            faults=4,
            entry=mixed,
        ),
        Scenario(name="big records", meaning="three of 16 MiB each time; kills", strike=strikes.big_records, faults=3),
        Scenario(
            name="clock steps",
            meaning="a minute or a day, back or forward; kills",
            strike=strikes.step_the_clock,
            faults=4,
            clock="0",
        ),
        Scenario(
            name="silent death",
            meaning="the fetch loop or the commits stop without a word",
            strike=strikes.die_silently,
            faults=2,
        ),
        Scenario(
            name="worker's disk full",
            meaning="a worker can write no file for 5 s, another is killed",
            strike=strikes.fill_a_workers_disk,
            faults=3,
        ),
        Scenario(
            name="worker's memory full",
            meaning="a worker gets no more memory while records of 16 MiB come",
            strike=strikes.starve,
            faults=2,
        ),
        Scenario(
            name="soak", meaning="minutes without a fault; memory of the workers", strike=strikes.nothing, faults=3
        ),
        Scenario(
            name="broker killed",
            meaning="SIGKILL of one of three, unclean log",
            strike=strikes.kill_a_leader,
            faults=3,
            where="three nodes",
        ),
        Scenario(
            name="broker restarted",
            meaning="clean stop of one of three",
            strike=strikes.stop_a_leader,
            faults=3,
            where="three nodes",
        ),
        Scenario(
            name="controller killed",
            meaning="SIGKILL of the quorum's leader",
            strike=strikes.kill_the_controller,
            faults=3,
            where="three nodes",
        ),
        Scenario(
            name="all brokers killed",
            meaning="SIGKILL of all three at once",
            strike=strikes.kill_all_brokers,
            faults=3,
            where="three nodes",
        ),
        Scenario(
            name="broker's disk full",
            meaning="one of three can write nothing more, until it is started again",
            strike=strikes.fill_a_brokers_disk,
            faults=2,
            where="three nodes",
        ),
        Scenario(
            name="no broker",
            meaning="none for a minute, producers go on",
            strike=strikes.no_broker,
            faults=1,
            where="three nodes",
        ),
        Scenario(
            name="broker comes late",
            meaning="a worker starts 15 s before the brokers",
            strike=strikes.broker_comes_late,
            faults=1,
            where="three nodes",
        ),
        Scenario(
            name="slow link",
            meaning="0.2 s more per packet, for 5 s",
            strike=strikes.slow_link,
            faults=3,
            where="behind a proxy",
        ),
        Scenario(
            name="lossy link",
            meaning="each fifth chunk (about 2 % of packets) comes after a retransmission, for 5 s",
            strike=strikes.lossy_link,
            faults=3,
            where="behind a proxy",
        ),
        Scenario(
            name="cut link",
            meaning="reset and refused, for 1 or 5 s",
            strike=strikes.cut_link,
            faults=4,
            where="behind a proxy",
        ),
        Scenario(
            name="half-open link",
            meaning="silence, for 1 or 5 s",
            strike=strikes.half_open_link,
            faults=4,
            where="behind a proxy",
        ),
    )
}
