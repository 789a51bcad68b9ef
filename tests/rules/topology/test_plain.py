from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Answer, AudioChunk, KnowledgeDocument, Origin, Ranking, TextQuery
from topology.plain import JsonInvalid, from_json, from_plain, to_json, to_plain

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORIGIN = Origin(request_id="r-1", correlation_id="c-1", event_time=AT, deadline=AT)


def test_a_record_survives_the_way_to_json_and_back() -> None:
    chunk = AudioChunk(origin=ORIGIN, clip_id="c", sequence=0, last=True, codec="wav", content=b"\x00\xff")

    assert from_json(AudioChunk, to_json(chunk)) == chunk


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    query = TextQuery(origin=ORIGIN, query=text)

    assert from_json(TextQuery, to_json(query)) == query


def test_what_has_a_default_and_maps_may_be_left_out() -> None:
    ranking = from_plain(Ranking, {"cell": "general/analysis"})

    assert ranking.standings == ()
    assert ranking.counted == {}


def test_every_problem_is_named_with_its_place() -> None:
    with pytest.raises(JsonInvalid) as caught:
        from_plain(
            TextQuery,
            {
                "origin": {
                    "request_id": 7,
                    "correlation_id": "c",
                    "event_time": "yesterday",
                    "deadline": "2026-11-21T12:00:00",
                },
                "query": None,
                "max_tokens": True,
                "temperature": "hot",
                "colour": "blue",
            },
        )

    assert caught.value.problems == (
        "colour is no field of TextQuery",
        "origin.request_id must be text, not 7",
        'origin.event_time must be a time like 2026-11-21T12:00:00Z, not "yesterday"',
        'origin.deadline must be a time like 2026-11-21T12:00:00Z, not "2026-11-21T12:00:00"',
        "query must be text, not null",
        'temperature must be a number, not "hot"',
        "max_tokens must be a whole number, not true",
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "NaN", "\x00", "[" * 100_000])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(JsonInvalid):
        from_json(TextQuery, text)


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(JsonInvalid, match="not JSON"):
        from_json(TextQuery, b'{"query": "\xff"}')


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("domain", "sports", "domain must be one of literary, market, general"),
        ("domain", [], "domain must be one of"),
        ("updated_at", 5, "updated_at must be a time"),
        ("document_id", {"a": 1}, "document_id must be text"),
    ],
)
def test_a_wrong_value_is_refused(field: str, value: object, problem: str) -> None:
    right = {"document_id": "d", "title": "t", "text": "x", "updated_at": "2026-11-21T12:00:00Z"}

    with pytest.raises(JsonInvalid, match=problem):
        from_plain(KnowledgeDocument, {**right, field: value})


@pytest.mark.parametrize("chunks", [5, {}, [5], [{}], [[]]])
def test_nested_lists_are_checked_too(chunks: object) -> None:
    with pytest.raises(JsonInvalid, match="chunks"):
        from_plain(Answer, {"chunks": chunks})


def test_bad_base64_is_refused() -> None:
    with pytest.raises(JsonInvalid, match="content must be base64"):
        from_plain(
            AudioChunk,
            {
                **to_plain(AudioChunk(origin=ORIGIN, clip_id="c", sequence=0, last=True, codec="wav", content=b"")),
                "content": "%%%",
            },
        )
