"""What the demo demands of two models that compete."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from schemas.records import Ranking, Result
from tests.rules.demo import samples
from topology.demo.acts.contest import CELL, CHALLENGER, LEADER, QUESTIONS, Round, judged
from topology.demo.journeys import Story, after
from topology.demo.questions import Asked, Question, asked, origin

BY_EVIDENCE = Ranking(cell=CELL, champion=CHALLENGER, reason="0.99 against 0.31 of smollm2, evidence 112", counted={})


def an_asked(text: str, model: str) -> Asked:
    return asked(Question(number=0, text=text, domain="general", model=model), "test")


ROUNDS = [Round(leader=an_asked(text, LEADER), challenger=an_asked(text, CHALLENGER)) for text in QUESTIONS[:3]]
AFTER = an_asked("And now?", CHALLENGER)


def a_result(asked: Asked, model: str, overall: float | None) -> Result:
    decision = replace(samples.DECISION, model=model, cell=CELL)
    whole = samples.a_result(samples.ASKED[0])
    return replace(whole, origin=origin(asked, samples.NOW), decision=decision, overall=overall)


def told(ranking: Ranking | None, *, then: str = CHALLENGER, last: float | None = 0.9) -> Sequence[str]:
    """Return what is wrong when the contest ends like this; `last` is the score of the last answer."""
    sides = [side for one in ROUNDS for side in (one.leader, one.challenger)]
    results = [a_result(side, side.question.model or "", 0.5) for side in sides[:-1]]
    results += [a_result(sides[-1], CHALLENGER, last), a_result(AFTER, then, 0.9)]
    story = reduce(after, map(samples.seen, results), Story())
    return [check.detail for check in judged(story, ROUNDS, AFTER, ranking) if not check.met]


def test_a_promotion_by_evidence_that_the_router_follows_is_as_expected() -> None:
    assert told(BY_EVIDENCE) == []


def test_a_promotion_by_order_is_none_by_evidence() -> None:
    assert told(replace(BY_EVIDENCE, commands=("order-1",))) != []


def test_a_champion_that_stays_and_a_cell_without_one_are_noticed() -> None:
    for ranking in (replace(BY_EVIDENCE, champion=LEADER), None):
        assert len(told(ranking)) == 1


def test_a_router_that_does_not_follow_is_noticed() -> None:
    assert "the next request went to smollm2" in told(BY_EVIDENCE, then=LEADER)[0]


def test_an_answer_that_was_not_judged_is_noticed() -> None:
    assert told(BY_EVIDENCE, last=None) == ["1 answers were not judged"]
