"""What a courier promises: order per key, many at once, one that comes back to look while the circuit is open, nothing lost."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.records import CircuitState, EffectState, Feedback, Outcome
from streams.courier import MOST_ALONE, Books, Courier, Receiver
from streams.errors import DataForgeRefused, DataForgeUnavailable, PipelineError
from streams.settings import KafkaSettings
from tests.clock import FixedClock
from tests.fakes.app import FakeEmit
from tests.fakes.ports import RememberedEffects
from tests.given import NOON, a_feedback, an_origin
from topology.topics import Topics

TOPICS = Topics.of(KafkaSettings())
DOWN = DataForgeUnavailable("down")


class Addressee:
    """Takes what it is given; fails while `down`, always for those in `poison`; answers when `gate` is open."""

    def __init__(self) -> None:
        self.down = False
        self.poison: set[str] = set()
        self.calls: list[list[str]] = []
        self.taken: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def deliver(self, batch: Sequence[Feedback]) -> Sequence[PipelineError | None]:
        names = [feedback.feedback_id for feedback in batch]
        self.calls.append(names)
        await self.gate.wait()
        fates = [DOWN if self.down or name in self.poison else None for name in names]
        self.taken += [name for name, fate in zip(names, fates, strict=True) if fate is None]
        return fates


class Broken(Addressee):
    """Has a bug."""

    async def deliver(self, batch: Sequence[Feedback]) -> Sequence[PipelineError | None]:
        raise ZeroDivisionError("a bug")


class Desk:
    """Handlers as the guard runs them: every one tries again until it is done, after as many turns as `pause` says."""

    def __init__(
        self,
        addressee: Addressee,
        *,
        most_records: int = 1,
        parallel: int = 8,
        circuits: Mapping[str, CircuitState] | None = None,
        pause: Callable[[], int] = lambda: 3,
        clock: FixedClock | None = None,
    ) -> None:
        self.sent: dict[str, list[object]] = {TOPICS.outcomes.name: [], TOPICS.effects.name: []}
        self.memory = RememberedEffects()
        self.failures: list[tuple[str, str]] = []
        self.pause = pause
        receiver = Receiver(
            dependency="dataforge",
            sink=addressee,
            unavailable=DataForgeUnavailable,
            refused=DataForgeRefused,
            most_records=most_records,
            parallel=parallel,
        )
        self.courier = Courier(
            receiver,
            Books(outcomes=TOPICS.outcomes, effects=TOPICS.effects, memory=self.memory),
            key=TOPICS.feedback.key,
            circuits=circuits or {},
            partitions=4,
            clock=clock or FixedClock(),
        )

    def take(self, name: str, pack: str) -> "asyncio.Task[None]":
        feedback = replace(a_feedback(origin=an_origin(name)), feedback_id=name, context_pack_id=pack)
        return asyncio.create_task(self._handle(feedback))

    def outcomes(self) -> list[Outcome]:
        return [seen for seen in self.sent[TOPICS.outcomes.name] if isinstance(seen, Outcome)]

    async def _handle(self, feedback: Feedback) -> None:
        emit = FakeEmit(self.sent)
        try:
            while True:
                try:
                    await self.courier.deliver(feedback, f"{feedback.feedback_id}/deliver", emit)
                except DataForgeUnavailable as error:
                    self.failures.append((feedback.feedback_id, error.message))
                    for _ in range(self.pause()):
                        await asyncio.sleep(0)
                else:
                    return
        finally:
            emit.end()


async def turns(count: int = 200) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_records_of_a_pack_arrive_in_order_whatever_fails_in_between() -> None:
    addressee = Addressee()
    pauses = iter([7, 1, 5, 2, 9, 3] * 100)
    desk = Desk(addressee, most_records=3, parallel=4, pause=lambda: next(pauses))
    addressee.down = True
    tasks = [desk.take(f"{pack}{at}", pack) for at in range(6) for pack in ("a", "b", "c")]
    await turns(40)
    addressee.down = False

    await asyncio.gather(*tasks)

    for pack in ("a", "b", "c"):
        assert [name for name in addressee.taken if name.startswith(pack)] == [f"{pack}{at}" for at in range(6)]
    assert len(addressee.taken) == 18
    assert len(desk.courier) == 0


@pytest.mark.parametrize("most_records", [1, 5])
async def test_copies_that_wait_together_are_sent_once(most_records: int) -> None:
    """As they do when a worker was killed before it had noted what it sent."""
    addressee = Addressee()
    desk = Desk(addressee, most_records=most_records, parallel=2)
    addressee.down = True
    tasks = [desk.take(name, "a") for name in ("a0", "a1", "a0", "a0", "a2", "a1")]
    await turns(40)
    addressee.down = False

    await asyncio.gather(*tasks)

    assert addressee.taken == ["a0", "a1", "a2"]
    assert len(desk.courier) == 0


async def test_what_waits_together_goes_together_within_the_bound() -> None:
    addressee = Addressee()
    desk = Desk(addressee, most_records=5, parallel=1)

    await asyncio.gather(*(desk.take(f"a{at}", "a") for at in range(7)), *(desk.take(f"b{at}", "b") for at in range(4)))

    assert addressee.calls == [["a0", "a1", "a2", "a3", "a4"], ["b0", "b1", "b2", "b3", "a5"], ["a6"]]
    assert [seen.ok for seen in desk.outcomes()] == [True] * 3
    assert len(desk.memory.known) == 11
    assert {effect.state for effect in desk.memory.known.values()} == {EffectState.DONE}


async def test_packs_are_served_side_by_side_and_one_pack_is_not() -> None:
    addressee = Addressee()
    addressee.gate.clear()
    desk = Desk(addressee, parallel=2)
    tasks = [desk.take(name, name[0]) for name in ("a0", "a1", "b0", "c0")]
    await turns()

    assert addressee.calls == [["a0"], ["b0"]]

    addressee.gate.set()
    await asyncio.gather(*tasks)
    assert sorted(addressee.taken) == ["a0", "a1", "b0", "c0"]


async def test_what_is_delivered_is_not_delivered_again() -> None:
    addressee = Addressee()
    desk = Desk(addressee)

    await desk.take("a0", "a")
    await desk.take("a0", "a")

    assert addressee.calls == [["a0"]]


async def test_while_the_circuit_is_open_one_record_comes_back_to_look_and_the_others_rest() -> None:
    addressee, clock = Addressee(), FixedClock()
    circuits = {
        "dataforge": CircuitState(
            dependency="dataforge", open_until=NOON + timedelta(seconds=60), as_of=NOON, counted={}
        )
    }
    desk = Desk(addressee, circuits=circuits, clock=clock)
    tasks = [desk.take(f"{pack}0", pack) for pack in "abcdefgh"]
    await turns()

    assert addressee.calls == []
    assert 0 < len(desk.failures) < 100  # eight that all come back would be 400
    assert all("keeps calls back" in message for _, message in desk.failures)

    circuits.clear()
    await asyncio.gather(*tasks)
    assert sorted(addressee.taken) == [f"{pack}0" for pack in "abcdefgh"]


async def test_a_half_open_circuit_lets_one_call_through_in_each_span() -> None:
    addressee, clock = Addressee(), FixedClock()
    half_open = CircuitState(dependency="dataforge", open_until=NOON, probe_s=10.0, as_of=NOON, counted={})
    desk = Desk(addressee, circuits={"dataforge": half_open}, clock=clock)
    tasks = [desk.take(f"{pack}0", pack) for pack in "abcd"]

    await turns()
    in_the_first = len(addressee.calls)
    clock.advance(10)
    await turns()

    assert (in_the_first, len(addressee.calls)) == (1, 2)
    for _ in range(2):
        clock.advance(10)
        await turns()
    await asyncio.gather(*tasks)


async def test_one_record_that_always_fails_holds_up_its_own_pack_only_and_ends_as_refused() -> None:
    addressee = Addressee()
    addressee.poison.add("a0")
    desk = Desk(addressee)
    bad = desk.take("a0", "a")
    behind = desk.take("a1", "a")
    for at in range(MOST_ALONE * 3):
        await desk.take(f"b{at}", "b")
        await turns(5)

    with pytest.raises(DataForgeRefused, match="while other records were taken"):
        await bad
    await behind

    assert addressee.taken.count("a1") == 1


async def test_a_record_that_goes_to_another_worker_leaves_its_place() -> None:
    """Its partition was revoked: those behind it go on, and a call nobody waits for any more is given up."""
    addressee = Addressee()
    addressee.gate.clear()
    desk = Desk(addressee)
    first, second = desk.take("a0", "a"), desk.take("a1", "a")
    await turns()
    first.cancel()
    await turns()
    addressee.gate.set()

    await second

    assert addressee.taken == ["a1"]
    assert len(desk.courier) == 0


async def test_a_bug_of_the_client_reaches_the_handlers() -> None:
    desk = Desk(Broken(), most_records=2)

    ends = await asyncio.gather(desk.take("a0", "a"), desk.take("a1", "a"), return_exceptions=True)

    assert [type(end) for end in ends] == [ZeroDivisionError] * 2
