"""What a repetition is answered with."""

from dataclasses import replace

from agents.repeat import rules
from schemas.records import Duplicate
from tests.given import a_request, a_result, an_origin


def test_a_repetition_is_never_answered_with_what_another_tenant_was_told() -> None:
    """Its first request has an id that the other tenant has given, too."""
    repeated = Duplicate(origin=an_origin("again", tenant="b"), request=a_request(), first_request_id="request-1")
    of_a, of_b = (replace(a_result(tenant), origin=an_origin(tenant=tenant)) for tenant in "ab")
    recent = rules.Recent()
    recent.keep(of_a)

    assert recent.of(rules.first(repeated)) is None

    recent.keep(of_b)
    assert recent.of(rules.first(repeated)) == of_b
