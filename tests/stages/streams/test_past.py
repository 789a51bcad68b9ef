"""Looking for a result of the past: near its question, bounded in time and in what is read."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.codec import SchemaUnknown
from schemas.records import Origin, Result
from schemas.registry import LockedIds, serde
from streams.errors import AnswerUnknown, HistoryUnavailable, PipelineError
from streams.past import LATER, Past
from streams.settings import KafkaSettings
from tests.given import NOON, a_result, an_origin
from topology.topics import Topics

TOPIC = Topics.of(KafkaSettings(partitions=1)).results
ASKED = an_origin("asked")


class ListedResults:
    """A `ResultLog` in a list; at its end it fails as told, or hangs."""

    def __init__(self, values: Sequence[bytes], *, error: Exception | None = None, hangs: bool = False) -> None:
        self.read = 0
        self.froms: list[datetime] = []
        self._values = values
        self._error = error
        self._hangs = hangs

    async def since(self, number: int, at: datetime) -> AsyncGenerator[bytes, None]:
        self.froms.append(at)
        for value in self._values:
            self.read += 1
            yield value
        if self._hangs:
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error


async def codec() -> Any:  # noqa: ANN401 - a codec
    ids = LockedIds()
    await ids.start({f"{TOPIC.name}-value": Result})
    return serde(ids, TOPIC.name, Result)


async def encoded(*results: Result) -> list[bytes]:
    written = await codec()
    return [written.encode(result) for result in results]


async def past(log: ListedResults, *, longest_s: float = 5.0) -> Past:
    return Past(log, TOPIC, await codec(), longest_s=longest_s)


def others(count: int, *, after_s: float = 0.0) -> list[Result]:
    at = timedelta(seconds=after_s)
    origins = [replace(an_origin(f"other-{number}"), event_time=NOON + at) for number in range(count)]
    return [a_result(origin=origin) for origin in origins]


async def test_a_result_is_found_among_those_of_its_time() -> None:
    log = ListedResults(await encoded(*others(3), a_result("Yes.", origin=ASKED), *others(3)))

    found = await (await past(log)).find(ASKED)

    assert (found and found.text, log.read) == ("Yes.", 4)
    assert log.froms == [NOON - timedelta(seconds=10)]


async def test_the_result_of_another_tenant_is_not_found_by_its_id() -> None:
    log = ListedResults(await encoded(a_result(origin=replace(ASKED, tenant="other"))))

    assert await (await past(log)).find(ASKED) is None


async def test_a_search_ends_where_only_later_questions_follow() -> None:
    """However much the topic holds: a rating that names nobody costs what lies between the question and its deadline."""
    much = await encoded(*others(5), *others(LATER + 500, after_s=3600))
    log = ListedResults(much)

    assert await (await past(log)).find(ASKED) is None
    assert log.read == 5 + LATER


async def test_a_producer_whose_clock_is_ahead_ends_no_search() -> None:
    ahead = others(LATER - 1, after_s=3600)
    log = ListedResults(await encoded(*ahead, *others(1), *ahead, a_result("Yes.", origin=ASKED)))

    found = await (await past(log)).find(ASKED)

    assert found is not None


@pytest.mark.parametrize(
    ("log", "error"),
    [
        (ListedResults([], error=KafkaConnectionError()), HistoryUnavailable),
        (ListedResults([], hangs=True), HistoryUnavailable),
    ],
)
async def test_a_broker_that_shows_nothing_is_asked_again(log: ListedResults, error: type[PipelineError]) -> None:
    with pytest.raises(error) as raised:
        await (await past(log, longest_s=0.01)).find(ASKED)

    assert raised.value.retryable


async def test_what_is_not_found_in_the_time_there_is_will_not_be_found_the_next_time() -> None:
    log = ListedResults(await encoded(*others(7)), hangs=True)

    with pytest.raises(AnswerUnknown, match="not among the 7 that could be read"):
        await (await past(log, longest_s=0.05)).find(ASKED)


async def test_a_result_that_cannot_be_read_is_no_reason_to_wait() -> None:
    (value,) = await encoded(a_result(origin=ASKED))

    with pytest.raises(AnswerUnknown, match="cannot be read"):
        await (await past(ListedResults([value[:-20]]))).find(ASKED)


async def test_a_result_of_an_unknown_schema_is_left_to_those_who_fetch_schemas() -> None:
    (value,) = await encoded(a_result(origin=ASKED))

    with pytest.raises(SchemaUnknown):
        await (await past(ListedResults([value[:1] + b"\xff\xff\xff\xff" + value[5:]]))).find(ASKED)


@pytest.mark.parametrize("year", [1, 9999])
async def test_a_time_at_the_end_of_all_calendars_is_searched_for_and_not_found(year: int) -> None:
    origin: Origin = replace(ASKED, event_time=NOON.replace(year=year), deadline=NOON.replace(year=year))

    assert await (await past(ListedResults(await encoded(*others(3))))).find(origin) is None
