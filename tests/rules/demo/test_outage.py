"""What the demo demands when a provider dies."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import reduce

from schemas.records import CircuitState, Phase, Result, Status
from streams.lots import lot
from streams.partitions import partition
from tests.rules.demo import samples
from topology.demo.acts.outage import AGAIN, DEAD, HALF_OPEN, OPEN, WELL, judged
from topology.demo.journeys import Seen, Story, after
from topology.demo.neighbours import REMOTE
from topology.demo.questions import STEADY, Asked, Question, origin, routed

THRESHOLD = 2


def an_asked(number: int) -> Asked:
    return routed(Question(number=0, text=f"Slogan {number}?", domain="market"), "test", place=number % 4, partitions=4)


WAVES = {
    WELL: [an_asked(0)],
    DEAD: [an_asked(1), an_asked(2)],
    OPEN: [an_asked(3)],
    HALF_OPEN: [an_asked(4), an_asked(5)],
    AGAIN: [an_asked(6)],
}
BY = {
    0: (REMOTE, None),
    1: ("smollm2", "provider_unavailable"),
    2: ("smollm2", "provider_unavailable"),
    3: ("smollm2", "circuit_open"),
    4: (REMOTE, None),
    5: ("smollm2", "circuit_half_open"),
    6: (REMOTE, None),
}


def a_result(asked: Asked, model: str, why_not: str | None) -> Result:
    decision = replace(samples.DECISION, model=model, rejected={REMOTE: why_not} if why_not else {})
    return replace(samples.a_result(samples.ASKED[0]), origin=origin(asked, samples.NOW), decision=decision)


def turned(phase: Phase, seconds: int) -> CircuitState:
    at = samples.NOW + timedelta(seconds=seconds)
    return CircuitState(dependency=REMOTE, as_of=at, since=at, phase=phase, counted={})


def told(
    by: dict[int, tuple[str, str | None]],
    phases: Sequence[Phase] = (Phase.OPEN, Phase.CLOSED),
    *,
    but: int | None = None,
) -> list[str]:
    """Return what is wrong when the requests are answered like this; request `but` has no result."""
    everybody = [asked for wave in WAVES.values() for asked in wave]
    events: list[Seen] = [
        samples.seen(a_result(asked, *by[number])) for number, asked in enumerate(everybody) if number != but
    ]
    events += [samples.seen(turned(phase, number)) for number, phase in enumerate(phases)]
    found = judged(WAVES, reduce(after, events, Story()), THRESHOLD)
    return [f"{check.name}: {check.detail}" for check in found if not check.met]


def test_an_outage_that_others_cover_is_as_expected() -> None:
    assert told(BY) == []


def test_a_call_of_an_open_circuit_is_noticed() -> None:
    assert "kept back: asked" in told({**BY, 3: (REMOTE, None)})[0]


def test_a_second_probe_is_noticed() -> None:
    assert "2 tried it" in told({**BY, 5: (REMOTE, None)})[0]


def test_a_circuit_that_never_opens_or_never_closes_is_noticed() -> None:
    assert "the circuit turned never" in told(BY, ())[0]
    assert "the circuit turned open" in told(BY, (Phase.OPEN,))[0]


def test_a_request_without_an_answer_is_noticed() -> None:
    assert "requests were answered" in told(BY, but=2)[0]
    failed = replace(a_result(an_asked(3), *BY[3]), status=Status.FAILED, text="")
    story = reduce(after, [samples.seen(failed)], Story())
    assert failed.origin.request_id in judged({**WAVES, OPEN: [an_asked(3)]}, story, THRESHOLD)[0].detail


def test_a_routed_question_lies_where_it_should_and_never_explores() -> None:
    """The same in every run: what the demo expects of the router must not hang on a lot."""
    for place in range(4):
        asked = routed(Question(number=0, text="Why?", domain="market"), "act", place=place, partitions=4)
        assert partition(asked.request_id.encode(), 4) == place
        assert lot("explore", asked.request_id) < STEADY
        assert asked == routed(Question(number=0, text="Why?", domain="market"), "act", place=place, partitions=4)
