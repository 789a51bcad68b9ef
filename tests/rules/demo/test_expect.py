"""What the demo demands of a run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

import pytest

from schemas.records import Result, Status, TextQuery
from tests.rules.demo import samples
from topology.demo.expect import Check, consequences, endings, order, settled
from topology.demo.journeys import Seen, Story, after


def judged(events: Sequence[Seen]) -> Sequence[Check]:
    story = reduce(after, events, Story())
    return [*endings(story, samples.ASKED), *order(story, samples.ASKED), *consequences(story)]


def unmet(events: Sequence[Seen]) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in judged(events) if not check.met]


def changed(change: Callable[[Result], Result], number: int) -> list[Seen]:
    """Return a good run in which one result is another."""
    request_id = samples.ASKED[number - 1].request_id
    return [
        replace(event, record=change(event.record))
        if isinstance(event.record, Result) and event.record.origin.request_id == request_id
        else event
        for event in samples.a_whole_run()
    ]


def test_a_good_run_meets_every_expectation() -> None:
    assert unmet(samples.a_whole_run()) == []
    assert settled(reduce(after, samples.a_whole_run(), Story()))


def test_a_run_in_which_nothing_happened_meets_none() -> None:
    assert all(not check.met and check.detail for check in judged([]))


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        (changed(lambda r: replace(r, status=Status.FAILED), 2), "question 2: its status is failed"),
        (changed(lambda r: replace(r, status=Status.OK), 10), "question 10: its status is ok"),
        (changed(lambda r: replace(r, errors=r.errors[:2]), 10), "2 of 5 problems are listed"),
        (changed(lambda r: replace(r, text=" \n"), 3), "question 3: its status is ok"),
        (changed(lambda r: replace(r, scores=r.scores[:4]), 1), "question 1: it has 4 scores"),
        (changed(lambda r: replace(r, sources=()), 6), "smallpox-vaccine is not among its sources"),
        (
            changed(lambda r: replace(r, sources=samples.a_result(samples.ASKED[0]).sources), 9),
            "question 9: it cites moby-dick",
        ),
    ],
)
def test_an_unexpected_ending_is_named_with_its_question(events: list[Seen], complaint: str) -> None:
    assert any(complaint in found for found in unmet(events))


def test_a_result_told_twice_is_one_too_many() -> None:
    events = samples.a_whole_run()
    results = [event for event in events if isinstance(event.record, Result)]

    assert any(f"{samples.ASKED[0].request_id} has 2" in found for found in unmet([*events, results[0]]))


def test_a_conversation_answered_backwards_is_noticed() -> None:
    """The offsets of its two results are exchanged."""
    swapped = {4: 5, 5: 4}
    events = [replace(event, offset=swapped.get(event.offset, event.offset)) for event in samples.a_whole_run()]

    assert any("conversation" in found for found in unmet(events))


def test_a_conversation_spread_over_partitions_is_noticed() -> None:
    events = [replace(event, partition=event.offset) for event in samples.a_whole_run()]

    assert any("conversation" in found for found in unmet(events))


def test_a_dead_letter_nobody_expected_is_noticed() -> None:
    events = [*samples.a_whole_run(), samples.a_dead_letter(b"something else")]

    assert any("1 more than expected" in found for found in unmet(events))


def test_a_changed_dead_letter_is_noticed() -> None:
    events = [*samples.a_whole_run()[:-1], samples.a_dead_letter(b"not the same bytes")]

    assert any("byte for byte" in found for found in unmet(events))


def test_an_open_circuit_is_noticed() -> None:
    events = [*samples.a_whole_run(), samples.seen(samples.a_circuit(open_until=samples.LATER))]

    assert unmet(events) == ["every circuit is closed: open: llamacpp"]


def test_a_verdict_counted_twice_is_noticed() -> None:
    ranking = samples.a_ranking()
    standings = tuple(replace(standing, samples=standing.samples + 1) for standing in ranking.standings)
    events = [*samples.a_whole_run(), samples.seen(replace(ranking, standings=standings))]

    assert any("smollm2 in literary/analysis: 10 of 9" in found for found in unmet(events))


def test_questions_alone_are_not_the_end_of_a_run() -> None:
    asked = [event for event in samples.a_whole_run() if isinstance(event.record, TextQuery)]

    assert not settled(reduce(after, asked, Story()))
