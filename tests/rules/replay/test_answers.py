"""A model's answers are recorded, and said again so that nobody can tell."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from schemas.records import RecordedAnswer
from streams.errors import ContentRefused, ProviderRefused, ProviderUnavailable
from streams.ports import Ask, Finish, Piece, Vector
from tests.clock import FixedClock
from tests.fakes.model import HANGS, STOP, ScriptedModel
from tests.given import a_chunk
from topology.replay.answers import NOT_RECORDED, RecordedEncoder, RecordedModel, ask_id_of
from topology.replay.clock import EventClock
from topology.replay.order import Answers

ASK = Ask(
    request_id="r1", system="be brief", user="why?", query="why?", chunks=(a_chunk(),), max_tokens=10, temperature=0.0
)


class Shelf(dict[str, RecordedAnswer]):
    """A `Book` in memory."""

    def put(self, answer: RecordedAnswer) -> None:
        self[answer.ask_id] = answer


class Spent(EventClock):
    """A clock that tells how much a request has spent."""

    def __init__(self) -> None:
        super().__init__()
        self.ms = 0.0

    def spend(self, request_id: str, milliseconds: float) -> None:
        self.ms += milliseconds
        super().spend(request_id, milliseconds)


class Asked:
    """A model behind a book, and what came of asking it."""

    def __init__(self, shelf: Shelf, answers: Answers, *script: str | float | Finish | Exception) -> None:
        self.model = ScriptedModel("first", *script, clock=FixedClock())
        self.clock = Spent()
        self._recorded = RecordedModel(self.model, shelf, answers, self.clock)

    async def said(self, ask: Ask = ASK) -> tuple[str, Finish | None]:
        text, finish = "", None
        async for piece in self._recorded.stream(ask):
            if isinstance(piece, Piece):
                text += piece.text
            else:
                finish = piece
        return text, finish


async def test_an_answer_is_said_again_without_asking_and_takes_as_long() -> None:
    shelf = Shelf()
    first = Asked(shelf, Answers.REUSE, "Because", " so.", STOP)
    again = Asked(shelf, Answers.REUSE, "something else", STOP)

    heard, heard_again = await first.said(), await again.said()

    assert heard == heard_again == ("Because so.", STOP)
    assert (len(first.model.asked), len(again.model.asked)) == (1, 0)
    assert again.clock.ms == first.clock.ms


@pytest.mark.parametrize(
    "error", [ProviderUnavailable("no answer"), ProviderRefused("wrong key"), ContentRefused("not that")]
)
async def test_a_failure_is_recorded_too_and_fails_again(error: Exception) -> None:
    shelf = Shelf()
    first = Asked(shelf, Answers.REUSE, "Be", error)
    again = Asked(shelf, Answers.RECORDED, "fine", STOP)

    with pytest.raises(type(error), match=str(error)):
        await first.said()
    with pytest.raises(type(error), match=str(error)):
        await again.said()

    assert again.model.asked == []
    assert again.clock.ms == first.clock.ms


async def test_what_failed_is_asked_again_when_it_may_be() -> None:
    shelf = Shelf()
    with pytest.raises(ProviderUnavailable):
        await Asked(shelf, Answers.REUSE, ProviderUnavailable("no answer")).said()

    again = Asked(shelf, Answers.REUSE, "fine", STOP)

    assert await again.said() == ("fine", STOP)
    assert shelf[ask_id_of("first", ASK)].error_code is None


async def test_nobody_is_asked_when_only_recorded_answers_count() -> None:
    asked = Asked(Shelf(), Answers.RECORDED, "fine", STOP)

    with pytest.raises(ProviderRefused, match=NOT_RECORDED):
        await asked.said()

    assert asked.model.asked == []


async def test_fresh_asks_in_spite_of_a_recording_and_replaces_it() -> None:
    shelf = Shelf()
    await Asked(shelf, Answers.REUSE, "old", STOP).said()

    assert await Asked(shelf, Answers.FRESH, "new", STOP).said() == ("new", STOP)
    assert await Asked(shelf, Answers.RECORDED).said() == ("new", STOP)


async def test_an_asker_who_gives_up_leaves_a_failure_on_record() -> None:
    shelf = Shelf()
    hanging = Asked(shelf, Answers.REUSE, "Be", HANGS)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await hanging.said()

    assert hanging.model.cancelled
    assert shelf[ask_id_of("first", ASK)].error_code == ProviderUnavailable.code


class WobblyEncoder:
    """An `Encoder` that never gives a text the same vector twice."""

    model = "wobbly"
    dimension = 2

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def encode(self, texts: Sequence[str]) -> Sequence[Vector]:
        await asyncio.sleep(0)
        self.texts += texts
        return [(1.0, len(self.texts) / 1000) for _ in texts]


async def test_a_text_keeps_the_first_vector_it_had_also_when_two_ask_at_once() -> None:
    shelf, wobbly = Shelf(), WobblyEncoder()
    encoder = RecordedEncoder(wobbly, shelf)

    (one,), (two, other) = await asyncio.gather(encoder.encode(["a"]), encoder.encode(["a", "b"]))
    again = await RecordedEncoder(wobbly, shelf).encode(["b", "a", "b"])

    assert one == two
    assert again == [other, one, other]
    assert wobbly.texts == ["a", "a", "b"]


def test_anything_a_model_is_given_makes_another_ask() -> None:
    others = [
        replace(ASK, request_id="r2"),
        replace(ASK, system=""),
        replace(ASK, user="who?"),
        replace(ASK, query="who?"),
        replace(ASK, chunks=()),
        replace(ASK, chunks=(a_chunk("Another text."),)),
        replace(ASK, max_tokens=11),
        replace(ASK, temperature=0.1),
        replace(ASK, user="\ud800"),
    ]

    ids = {ask_id_of("first", ask) for ask in (ASK, *others)} | {ask_id_of("second", ASK)}

    assert len(ids) == len(others) + 2
    assert ask_id_of("first", replace(ASK)) == ask_id_of("first", ASK)
