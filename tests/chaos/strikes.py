"""The faults: each strikes a running arena and ends before it returns."""

import random
import resource
import signal
import threading
from pathlib import Path

from tests.chaos.arena import Arena
from tests.chaos.ledger import PARTITIONS
from tests.chaos.programs.bookkeeper import SESSION_S, STALL_S
from tests.chaos.proxy import Link
from tests.eventually import eventually
from topology.embedded.cluster import EmbeddedCluster
from topology.embedded.kafka import EmbeddedKafka

FROZEN_S = SESSION_S + 3.0
NOTICED_S = STALL_S + 30.0  # liveness fails after the stall; the rest is for a loaded machine to end the process
CLOCK_STEPS_S = (-86_400.0, -61.0, 61.0, 86_400.0)
BIG_BYTES = 16 * 1024 * 1024
FULL_S = 5.0
FULL_BYTES = 4096  # that a file may have when a disk is full: no log of the broker is smaller
BREATH_BYTES = 8 * 1024 * 1024  # more than a worker has mapped: not enough for the next big record


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


def lossy_link(arena: Arena, _chance: random.Random) -> None:
    """The workers' link loses packets, which come again after 0.2 s, 0.4 s and so on."""
    _faulty(arena, Link.LOSSY, 5.0)


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
    """Three records of 16 MiB that are no entries come in, and a worker is killed."""
    _put_big_records(arena, chance, 3)
    kill(arena, chance)


def fill_a_brokers_disk(arena: Arena, chance: random.Random) -> None:
    """No byte more can be written by one broker; it gives up, the others go on, and it comes back when there is room."""
    broker = chance.choice(_cluster(arena).brokers)
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, resource.RLIM_INFINITY))
    eventually(lambda: not _lives(broker.pid), within_s=NOTICED_S, what="the broker whose disk is full gives up")
    arena.await_work()
    broker.restart()


def fill_a_workers_disk(arena: Arena, chance: random.Random) -> None:
    """One worker can write nothing, its log included, while another is killed."""
    full, killed = chance.sample(arena.crew.numbers, 2)
    arena.crew.limit(full, resource.RLIMIT_FSIZE, 0)
    arena.crew.kill(killed)
    _pass(FULL_S)
    arena.crew.limit(full, resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)


def starve(arena: Arena, chance: random.Random) -> None:
    """A worker gets no more memory, and big records come: it ends and is replaced."""
    number, crashes = chance.choice(arena.crew.numbers), arena.crew.crashes
    arena.crew.limit(number, resource.RLIMIT_AS, arena.crew.address_space(number) + BREATH_BYTES)
    _put_big_records(arena, chance, 2 * PARTITIONS)
    eventually(lambda: arena.crew.crashes > crashes, within_s=NOTICED_S, what="the worker without memory ends")


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


def _put_big_records(arena: Arena, chance: random.Random, count: int) -> None:
    name = arena.books.ledger.reads.name
    arena.cluster.fill(name, ((b"big-%d" % number, chance.randbytes(BIG_BYTES)) for number in range(count)))


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
