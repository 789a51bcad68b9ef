import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from schemas.registry import LockedIds, SchemaSource, serde
from streams.settings import KafkaSettings
from topology.contract import subjects
from topology.plain import JsonInvalid
from topology.producing import origin, prepared
from topology.topics import Topics

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOPICS = Topics.of(KafkaSettings())
FILLED = origin(AT, bytes(10), deadline_s=60)


@pytest.fixture
def schemas() -> SchemaSource:
    source = LockedIds()
    asyncio.run(source.start(subjects(TOPICS)))
    return source


def test_a_bare_question_becomes_a_request_with_id_time_and_deadline(schemas: SchemaSource) -> None:
    (record,) = prepared(TOPICS.texts, [b'{"query": "why?"}'], schemas, lambda: FILLED)

    assert record.value is not None
    query = serde(schemas, "texts", TOPICS.texts.record).decode(record.value)
    assert query.origin.request_id == record.request_id == FILLED["request_id"]
    assert query.origin.correlation_id == query.origin.request_id
    assert query.origin.event_time == AT
    assert query.origin.deadline == AT + timedelta(seconds=60)
    assert record.key == f"default#{query.origin.request_id}".encode()


def test_a_session_given_becomes_the_key_and_the_rest_is_filled_in(schemas: SchemaSource) -> None:
    (record,) = prepared(
        TOPICS.texts,
        [b'{"query": "why?", "origin": {"session_id": "s-1", "request_id": "mine", "tenant": "b"}}'],
        schemas,
        lambda: FILLED,
    )

    assert record.key == b"b#s-1"
    assert record.request_id == "mine"


def test_records_without_an_origin_are_sent_as_they_are(schemas: SchemaSource) -> None:
    line = b'{"document_id": "d-1", "title": "t", "text": "x", "updated_at": "2026-11-21T12:00:00Z"}'

    (record,) = prepared(TOPICS.knowledge, [line], schemas, lambda: FILLED)

    assert record.key == b"d-1"
    assert record.request_id is None


def test_empty_lines_are_passed_over(schemas: SchemaSource) -> None:
    assert not prepared(TOPICS.texts, [b"\n", b"  \r\n", b""], schemas, lambda: FILLED)


def test_every_problem_of_every_line_is_listed_and_nothing_is_ready(schemas: SchemaSource) -> None:
    lines = [b'{"query": 1}', b'{"query": "fine"}', b"{", b'{"query": "x", "origin": []}', b"[]"]

    with pytest.raises(JsonInvalid) as caught:
        prepared(TOPICS.texts, lines, schemas, lambda: FILLED)

    assert [problem.split(":")[0] for problem in caught.value.problems] == ["line 1", "line 3", "line 4", "line 5"]


def test_a_record_larger_than_its_topic_takes_is_refused_before_it_is_sent(schemas: SchemaSource) -> None:
    huge = b'{"query": "' + b"x" * TOPICS.texts.max_message_bytes + b'"}'

    with pytest.raises(JsonInvalid, match="bytes"):
        prepared(TOPICS.texts, [huge], schemas, lambda: FILLED)


def test_half_a_surrogate_pair_is_refused(schemas: SchemaSource) -> None:
    with pytest.raises(JsonInvalid, match="line 1"):
        prepared(TOPICS.texts, [b'{"query": "\\ud800"}'], schemas, lambda: FILLED)
