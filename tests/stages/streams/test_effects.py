"""The memory of effects: read from its log before the first look, bounded, forgotten with the tenure of its partition."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Effect, EffectState
from schemas.registry import LockedIds, serde
from streams.effects import Effects, Line, Recall
from streams.lanes import Slot, Window
from streams.scope import Scope, current
from streams.settings import EngineSettings
from tests.fakes.received import FakeReceived
from tests.given import NOON, an_answer, an_origin


class ListedLog:
    """An `EffectLog` in a list of chunks, oldest first; reading waits for `opened` and fails as often as told."""

    def __init__(self, *chunks: Sequence[Line], failures: int = 0) -> None:
        self.chunks = list(chunks)
        self.opened = asyncio.Event()
        self.opened.set()
        self.chunks_read = 0
        self._failures = failures

    async def newest(self, partition: int) -> AsyncGenerator[Sequence[Line], None]:
        await self.opened.wait()
        if self._failures:
            self._failures -= 1
            raise OSError("no broker")
        for chunk in reversed(self.chunks):
            self.chunks_read += 1
            yield chunk


def an_effect(request_id: str = "request-1", state: EffectState = EffectState.DONE, *, text: str = "Yes.") -> Effect:
    answer = an_answer(text) if state is EffectState.DONE else None
    return Effect(
        origin=an_origin(request_id), effect_id=f"{request_id}/route", state=state, at=NOON, epochs=1, answer=answer
    )


async def memory(log: ListedLog, **engine: Any) -> tuple[Effects, Any]:  # noqa: ANN401 - settings; a codec
    ids = LockedIds()
    await ids.start({"effects-value": Effect})
    codec = serde(ids, "effects", Effect)
    return Effects(log, codec, EngineSettings(**engine)), codec


def a_tenure(partition: int = 0) -> Window:
    """Begin to hold a partition, and let its first record be in hand."""

    def nothing(*_: object) -> bool:
        return True

    window = Window(start=nothing, in_flight=1, most_records=1, most_bytes=1, on_room=nothing, on_lost=nothing)  # type: ignore[arg-type]
    current.set(Scope("route", Slot(window, replace(FakeReceived(0, b"", b""), partition=partition))))
    return window


async def line(codec: Any, effect: Effect) -> Line:  # noqa: ANN401 - a codec
    return effect.effect_id.encode(), codec.encode(effect)


async def test_the_first_look_waits_until_the_log_has_been_read_and_the_others_with_it() -> None:
    log = ListedLog()
    known, codec = await memory(log)
    log.chunks = [[await line(codec, an_effect())]]
    log.opened.clear()
    window = a_tenure()

    looks = [asyncio.ensure_future(known.find("request-1/route")) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(look.done() for look in looks)
    log.opened.set()

    assert await asyncio.gather(*looks) == [an_effect()] * 3
    assert log.chunks_read == 1
    assert window is not None


async def test_the_newest_state_of_an_effect_counts_whatever_chunk_it_is_in() -> None:
    begun, done = an_effect(state=EffectState.BEGUN), an_effect()
    known, codec = await memory(log := ListedLog())
    log.chunks = [
        [await line(codec, done), await line(codec, begun)],
        [await line(codec, begun), await line(codec, done)],
    ]
    window = a_tenure()

    assert await known.find("request-1/route") == done
    assert await known.find("request-2/route") is None
    assert window is not None


async def test_what_is_written_is_known_at_once_and_a_new_tenure_reads_the_log_again() -> None:
    """Another worker may have had the partition in between."""
    known, codec = await memory(log := ListedLog())
    first = a_tenure()
    assert await known.find("request-1/route") is None
    known.keep(an_effect())
    assert await known.find("request-1/route") == an_effect()

    log.chunks = [[await line(codec, an_effect("request-2"))]]
    second = a_tenure()

    assert await known.find("request-1/route") is None
    assert await known.find("request-2/route") == an_effect("request-2")
    assert first is not second


async def test_effects_of_other_stages_are_none_of_ours() -> None:
    known, codec = await memory(log := ListedLog())
    log.chunks = [[(b"request-1/deliver", codec.encode(an_effect())), (None, b"x"), (b"request-1/route", None)]]
    window = a_tenure()

    assert await known.find("request-1/deliver") is None
    assert await known.find("request-1/route") is None
    assert window is not None


async def test_a_reading_that_failed_is_tried_again_by_the_next_look() -> None:
    known, codec = await memory(log := ListedLog(failures=1))
    log.chunks = [[await line(codec, an_effect())]]
    window = a_tenure()

    with pytest.raises(OSError, match="no broker"):
        await known.find("request-1/route")

    assert await known.find("request-1/route") == an_effect()
    assert window is not None


async def test_no_more_is_read_than_has_room() -> None:
    known, codec = await memory(log := ListedLog(), effects_mb=0.1)
    large = [await line(codec, an_effect(f"request-{number}", text="x" * 10_000)) for number in range(100)]
    log.chunks = [large[at : at + 5] for at in range(0, 100, 5)]
    window = a_tenure()

    assert await known.find("request-99/route") is not None
    assert await known.find("request-0/route") is None
    assert log.chunks_read <= 3
    assert window is not None


async def test_outside_of_a_stage_there_is_nothing_to_look_for() -> None:
    known, _ = await memory(ListedLog())
    current.set(None)

    with pytest.raises(RuntimeError):
        await known.find("request-1/route")


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.binary(max_size=8)), max_size=60))
def test_memory_holds_the_newest_within_its_bounds(kept: list[tuple[str, bytes]]) -> None:
    recall = Recall(most=4, most_bytes=16)
    order: dict[str, bytes] = {}
    for name, content in kept:
        recall.keep(name, content)
        order.pop(name, None)
        order[name] = content

    held = {name: value for name in order if (value := recall.get(name)) is not None}

    assert len(held) == len(recall) <= 4
    assert sum(map(len, held.values())) <= 16
    assert list(order.items())[len(order) - len(held) :] == list(held.items())
