"""The faults: each strikes a running arena and ends before it returns."""

import random
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.chaos.arena import Arena, Strike
from tests.chaos.ledger import Books
from tests.chaos.load import Entry, even, hot, poisoned
from tests.chaos.programs.bookkeeper import SESSION_S, STALL_S
from tests.chaos.proxy import Link
from tests.eventually import eventually
from topology.embedded.cluster import EmbeddedCluster
from topology.embedded.kafka import EmbeddedKafka

FROZEN_S = SESSION_S + 3.0
NOTICED_S = STALL_S + 30.0  # liveness fails after the stall; the rest is for a loaded machine to end the process
CLOCK_STEPS_S = (-86_400.0, -61.0, 61.0, 86_400.0)
BIG_BYTES = 15 * 1024 * 1024


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


def kill(arena: Arena, chance: random.Random) -> None:
    """SIGKILL one worker, or sometimes two at once."""
    for number in chance.sample(arena.crew.numbers, chance.choice([1, 1, 1, 2])):
        arena.crew.kill(number)


def freeze(arena: Arena, chance: random.Random) -> None:
    """Stop a worker for longer than its session; when it goes on, its partitions have been another's."""
    number = chance.choice(arena.crew.numbers)
    arena.crew.freeze(number)
    _pass(FROZEN_S)
    arena.crew.thaw(number)


def come_and_go(arena: Arena, chance: random.Random) -> None:
    """Add a worker under load, then take any one away."""
    new = max(arena.crew.numbers) + 1
    arena.crew.add(new)
    arena.crew.await_joined(new, 1)
    arena.await_work()
    code = arena.crew.remove(chance.choice(arena.crew.numbers))
    assert code == 0, f"a worker that was asked to stop ended with {code}"


def roll(arena: Arena, _chance: random.Random) -> None:
    """Restart every worker, one after the other: nobody else may notice, but for the one that leads the group."""
    noticed = []
    for number in arena.crew.numbers:
        before = {other: arena.crew.assignments(other) for other in arena.crew.numbers}
        code = arena.crew.restart(number)
        assert code == 0, f"a worker that was asked to stop ended with {code}"
        arena.crew.await_joined(number, len(before[number]) + 1)
        arena.await_work()
        if any(arena.crew.assignments(other) != before[other] for other in arena.crew.numbers if other != number):
            noticed.append(number)
    assert len(noticed) <= 1, f"the restarts of {noticed} rebalanced the others; only one of them leads the group"


def kill_a_leader(arena: Arena, chance: random.Random) -> None:
    """SIGKILL a broker that leads partitions; start it again on its unclean log."""
    broker = chance.choice(_cluster(arena).brokers)
    broker.kill()
    arena.await_work()
    broker.restart()


def stop_a_leader(arena: Arena, chance: random.Random) -> None:
    """Shut a broker down cleanly and start it again."""
    broker = chance.choice(_cluster(arena).brokers)
    broker.restart()


def kill_the_controller(arena: Arena, _chance: random.Random) -> None:
    """SIGKILL the broker that leads the metadata quorum."""
    broker = _cluster(arena).controller()
    broker.kill()
    arena.await_work()
    broker.restart()


def kill_all_brokers(arena: Arena, _chance: random.Random) -> None:
    """SIGKILL every broker in one moment; all recover from unclean logs."""
    cluster = _cluster(arena)
    cluster.each(EmbeddedKafka.kill)
    cluster.each(EmbeddedKafka.restart)


def no_broker(arena: Arena, _chance: random.Random) -> None:
    """No broker for a minute, while producers go on."""
    cluster = _cluster(arena)
    cluster.each(EmbeddedKafka.kill)
    _pass(60.0)
    cluster.each(EmbeddedKafka.restart)


def broker_comes_late(arena: Arena, chance: random.Random) -> None:
    """A worker is started while no broker is there; they come later."""
    cluster = _cluster(arena)
    cluster.each(EmbeddedKafka.kill)
    arena.crew.kill(chance.choice(arena.crew.numbers))
    _pass(15.0)
    cluster.each(EmbeddedKafka.restart)


def slow_link(arena: Arena, _chance: random.Random) -> None:
    """The workers' link takes 0.2 s more for every packet."""
    _faulty(arena, Link.SLOW, 5.0)


def cut_link(arena: Arena, chance: random.Random) -> None:
    """The workers' link is cut: connections are reset and refused."""
    _faulty(arena, Link.CUT, chance.choice([1.0, SESSION_S + 2.0]))


def half_open_link(arena: Arena, chance: random.Random) -> None:
    """The workers' connections stay open and nothing arrives."""
    _faulty(arena, Link.HALF_OPEN, chance.choice([1.0, SESSION_S + 2.0]))


def die_silently(arena: Arena, chance: random.Random) -> None:
    """The fetch loop of a worker stops, or its commits do: liveness must fail and the restart recover."""
    crashes = arena.crew.crashes
    arena.crew.signal(chance.choice(arena.crew.numbers), chance.choice([signal.SIGUSR1, signal.SIGUSR2]))
    eventually(lambda: arena.crew.crashes > crashes, within_s=NOTICED_S, what="the watchdog ends the worker")


def nothing(_arena: Arena, _chance: random.Random) -> None:
    """A minute without any fault."""
    _pass(60.0)


def step_the_clock(arena: Arena, chance: random.Random) -> None:
    """The workers' wall clock jumps by up to a day, and one of them is killed."""
    (arena.directory / "clock").write_text(str(chance.choice(CLOCK_STEPS_S)), encoding="ascii")
    kill(arena, chance)


def big_records(arena: Arena, chance: random.Random) -> None:
    """Three records of 15 MB that are no entries come in, and a worker is killed."""
    arena.cluster.fill(
        arena.books.ledger.reads.name, [(b"big-%d" % number, chance.randbytes(BIG_BYTES)) for number in range(3)]
    )
    kill(arena, chance)


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="worker killed", meaning="SIGKILL of one or two of three workers", strike=kill),
        Scenario(
            name="worker frozen", meaning="SIGSTOP beyond the session timeout, then SIGCONT", strike=freeze, faults=3
        ),
        Scenario(name="workers come and go", meaning="one more joins, any one leaves", strike=come_and_go, faults=3),
        Scenario(
            name="rolling restart",
            meaning="each worker in turn; the others keep their partitions, unless it led the group",
            strike=roll,
            faults=2,
        ),
        Scenario(
            name="poisoned records",
            meaning="each hundredth cannot be read; kills",
            strike=kill,
            faults=4,
            entry=poisoned,
        ),
        Scenario(
            name="hot key",
            meaning="90 % of the records have one key; kills",
            strike=kill,
            faults=4,
            entry=hot,
            rate=100,
        ),
        Scenario(name="big records", meaning="three of 15 MB each time; kills", strike=big_records, faults=3),
        Scenario(
            name="clock steps",
            meaning="a minute or a day, back or forward; kills",
            strike=step_the_clock,
            faults=4,
            clock="0",
        ),
        Scenario(
            name="silent death",
            meaning="the fetch loop or the commits stop without a word",
            strike=die_silently,
            faults=2,
        ),
        Scenario(name="soak", meaning="minutes without a fault; memory of the workers", strike=nothing, faults=3),
        Scenario(
            name="broker killed",
            meaning="SIGKILL of one of three, unclean log",
            strike=kill_a_leader,
            faults=3,
            where="three nodes",
        ),
        Scenario(
            name="broker restarted",
            meaning="clean stop of one of three",
            strike=stop_a_leader,
            faults=3,
            where="three nodes",
        ),
        Scenario(
            name="controller killed",
            meaning="SIGKILL of the quorum's leader",
            strike=kill_the_controller,
            faults=3,
            where="three nodes",
        ),
        Scenario(
            name="all brokers killed",
            meaning="SIGKILL of all three at once",
            strike=kill_all_brokers,
            faults=3,
            where="three nodes",
        ),
        Scenario(
            name="no broker",
            meaning="none for a minute, producers go on",
            strike=no_broker,
            faults=1,
            where="three nodes",
        ),
        Scenario(
            name="broker comes late",
            meaning="a worker starts 15 s before the brokers",
            strike=broker_comes_late,
            faults=1,
            where="three nodes",
        ),
        Scenario(
            name="slow link",
            meaning="0.2 s more per packet, for 5 s",
            strike=slow_link,
            faults=3,
            where="behind a proxy",
        ),
        Scenario(
            name="cut link",
            meaning="reset and refused, for 1 or 5 s",
            strike=cut_link,
            faults=4,
            where="behind a proxy",
        ),
        Scenario(
            name="half-open link",
            meaning="silence, for 1 or 5 s",
            strike=half_open_link,
            faults=4,
            where="behind a proxy",
        ),
    )
}


def _faulty(arena: Arena, link: Link, seconds: float) -> None:
    proxy = arena.brokers.proxy
    assert proxy is not None, "this scenario needs a proxy"
    proxy.become(link)
    _pass(seconds)
    proxy.become(Link.OPEN)


def _cluster(arena: Arena) -> EmbeddedCluster:
    assert arena.brokers.cluster is not None, "this scenario needs three nodes"
    return arena.brokers.cluster


def _pass(seconds: float) -> None:
    """Let a fault last."""
    threading.Event().wait(seconds)
