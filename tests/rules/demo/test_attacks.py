"""The demo's attacks, as the expectations see them."""

from dataclasses import replace
from functools import reduce

from schemas.records import Status
from tests.rules.demo import samples
from topology.demo.acts.attack import Attack
from topology.demo.expect import endings
from topology.demo.journeys import Story, after

OPEN, _ = Attack.script


def judged(*, risk: float = 0.93, status: Status = Status.REJECTED, code: str = "injection_suspected") -> list[str]:
    """Return what is wrong when the first attack ends like this."""
    error = replace(samples.an_attack(), error_code=code)
    result = replace(samples.a_result(OPEN), status=status, errors=(error,), risk=risk)
    story = reduce(after, [samples.seen(result, stage="admit")], Story())
    return [check.detail for check in endings(story, [OPEN]) if not check.met]


def test_an_attack_that_is_refused_with_reason_and_risk_is_as_expected() -> None:
    assert judged() == []


def test_an_attack_that_is_answered_or_refused_for_something_else_is_noticed() -> None:
    assert "its status is ok" in judged(status=Status.OK)[0]
    assert "its risk is 0.00" in judged(risk=0.0)[0]
    assert "request_invalid" in judged(code="request_invalid")[0]
