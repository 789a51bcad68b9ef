"""What a repetition is answered with, and for how long results are at hand for it."""

from collections import OrderedDict
from dataclasses import replace

from schemas.ids import result_id
from schemas.records import Duplicate, Origin, Result
from streams.topic import of_tenant

MOST_REMEMBERED = 4096  # results per process; a repetition comes within a second of its first


class Recent:
    """The newest results, by `asked`."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._results: OrderedDict[str, Result] = OrderedDict()

    def keep(self, result: Result) -> None:
        """Remember a result; the oldest is forgotten for it."""
        self._results[asked(result.origin)] = result
        while len(self._results) > self._most:
            self._results.popitem(last=False)

    def of(self, request: str) -> Result | None:
        """Return the result of a request."""
        return self._results.get(request)


def asked(origin: Origin) -> str:
    """Return what a request is known by: two tenants may have given two requests one id."""
    return of_tenant(origin.tenant, origin.request_id)


def first(duplicate: Duplicate) -> str:
    """Return what the first request is known by; it is the same tenant's."""
    return of_tenant(duplicate.origin.tenant, duplicate.first_request_id)


def shared(duplicate: Duplicate, first: Result) -> Result:
    """Return the result of the first as that of the repetition; the model was paid once."""
    origin = duplicate.origin
    return replace(
        first,
        origin=origin,
        result_id=result_id(origin.request_id),
        duplicate_of=duplicate.first_request_id,
        cost_usd=0.0,
        input_tokens=0,
        output_tokens=0,
        confidence=duplicate.request.confidence,
    )
