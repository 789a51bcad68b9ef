"""Records survive the codec, and what no schema allows is refused."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.avro_schema import PUBLISHED, schema_of
from schemas.codec import MAX_BYTES, RecordUndecodable, RecordUnencodable, SchemaUnknown, Serde, origin_of
from schemas.encoder import encoder
from schemas.records import (
    AudioChunk,
    Domain,
    Embedding,
    KnowledgeDocument,
    Origin,
    Outcome,
    Ranking,
    Request,
    Session,
    TextQuery,
    Turn,
)
from tests.any_record import ODD_TEXTS, any_record
from tests.fakes.schemas import FixedIds, a_serde
from tests.given import NOON, a_request, a_text_query, an_embedding, an_origin

NOT_FINITE = (float("nan"), float("inf"), float("-inf"))
THOROUGH = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: record.__name__)
@THOROUGH
@given(data=st.data())
def test_every_record_comes_back_as_it_was(record: type[Any], data: st.DataObject) -> None:
    """Same values, and by their repr the same types: members of enumerations, tuples, UTC times."""
    serde = a_serde(record)
    written = data.draw(any_record(record))

    read = serde.decode(serde.encode(written))

    assert read == written
    assert repr(read) == repr(written)
    assert type(read) is record


@pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
def test_text_is_not_touched(text: str) -> None:
    serde = a_serde(TextQuery)

    assert serde.decode(serde.encode(a_text_query(text))).query == text


def test_a_decoded_record_is_as_good_as_a_constructed_one() -> None:
    """It is frozen, equal and hashes the same; nothing tells how it was made."""
    serde = a_serde(TextQuery)

    read = serde.decode(serde.encode(a_text_query()))

    assert hash(read) == hash(a_text_query())
    assert replace(read, query="other").query == "other"
    with pytest.raises(AttributeError):
        read.query = "other"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize("number", NOT_FINITE)
@pytest.mark.parametrize(
    ("record", "broken"),
    [
        (TextQuery, lambda number: replace(a_text_query(), temperature=number)),
        (TextQuery, lambda number: replace(a_text_query(), confidence=number)),
        (Embedding, lambda number: replace(an_embedding(), vector=(0.0, number, 1.0))),
        (Embedding, lambda number: replace(an_embedding(), request=replace(a_request(), temperature=number))),
    ],
    ids=["field", "optional", "vector", "nested"],
)
def test_what_is_not_a_number_is_refused(record: type[Any], broken: Any, number: float) -> None:  # noqa: ANN401 - a lambda
    with pytest.raises(RecordUnencodable, match="not a finite number"):
        a_serde(record).encode(broken(number))


def test_large_numbers_whose_sum_is_infinite_are_fine() -> None:
    serde, embedding = a_serde(Embedding), replace(an_embedding(), vector=(1e308, 1e308, -1e308))

    assert serde.decode(serde.encode(embedding)) == embedding


@pytest.mark.parametrize("text", ["\ud800", "half a pair \udc00 in the middle", "\udfff\ud800"], ids=ascii)
def test_half_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(RecordUnencodable, match=r"TextQuery cannot be encoded: .*surrogates not allowed"):
        a_serde(TextQuery).encode(a_text_query(text))


@pytest.mark.parametrize(
    "changes",
    [
        {"query": None},
        {"query": 5},
        {"query": b"bytes"},
        {"temperature": "0.5"},
        {"temperature": None},
        {"max_tokens": 1.5},
        {"max_tokens": 1 << 63},
        {"max_tokens": -(1 << 63) - 1},
        {"strict": "yes"},
        {"strict": None},
        {"origin": None},
        {"origin": an_embedding()},
        {"origin": replace(an_origin(), event_time=datetime(2026, 11, 21))},  # noqa: DTZ001 - no zone: which moment?
        {"origin": replace(an_origin(), event_time="2026-11-21")},  # type: ignore[arg-type]  # that is the point
    ],
    ids=str,
)
def test_a_wrong_type_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordUnencodable, match="TextQuery cannot be encoded"):
        a_serde(TextQuery).encode(replace(a_text_query(), **changes))


def test_a_symbol_the_enumeration_lacks_is_refused() -> None:
    with pytest.raises(RecordUnencodable, match="'poetry' is no symbol"):
        a_serde(Request).encode(replace(a_request(), domain="poetry"))  # type: ignore[arg-type]  # that is the point


def test_a_symbol_as_plain_text_is_that_symbol() -> None:
    serde = a_serde(Request)
    plain: Any = "market"

    assert serde.decode(serde.encode(replace(a_request(), domain=plain))).domain is Domain.MARKET


def test_a_record_of_another_topic_is_refused() -> None:
    wrong: Any = a_request()

    with pytest.raises(RecordUnencodable, match="tests-value takes TextQuery, not Request"):
        a_serde(TextQuery).encode(wrong)


def test_times_are_utc_to_the_millisecond() -> None:
    """Other zones are converted, what is finer is cut off, also before 1970."""
    serde = a_serde(Outcome)
    fine = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-5)))

    read = serde.decode(serde.encode(Outcome(dependency="x", ok=True, latency_ms=1.0, at=fine))).at

    assert read.isoformat() == "1970-01-01T04:59:59.999000+00:00"


def test_limits_of_fields_hold_both_ways() -> None:
    """At the limit a record passes; one more is refused by the writer, and by the reader if a writer did not care."""
    serde = a_serde(Session)
    turn = Turn(request_id="r", query="界" * 2000, answer="", at=NOON)
    full = Session(session_id="s", turns=(turn,) * 100, as_of=NOON, counted={})

    data = serde.encode(full)

    assert serde.decode(data) == full
    with pytest.raises(RecordUnencodable, match="turns is longer than 100"):
        serde.encode(replace(full, turns=(turn,) * 101))
    with pytest.raises(RecordUnencodable, match="query is longer than 2000"):
        serde.encode(replace(full, turns=(replace(turn, query="x" * 2001),)))
    grown = data.replace(b"\xe0\x5d" + turn.query.encode(), b"\xe6\x5d" + turn.query.encode() + "界".encode(), 1)
    with pytest.raises(RecordUndecodable, match="query is longer than 2000"):
        serde.decode(grown)


def test_audio_chunks_have_at_most_half_a_mebibyte() -> None:
    serde = a_serde(AudioChunk)
    chunk = AudioChunk(origin=an_origin(), clip_id="c", sequence=0, last=True, codec="wav", content=bytes(524_288))

    assert serde.decode(serde.encode(chunk)) == chunk
    with pytest.raises(RecordUnencodable, match="content is longer than 524288"):
        serde.encode(replace(chunk, content=bytes(524_289)))


def test_no_record_is_beyond_sixteen_mebibytes() -> None:
    serde = a_serde(TextQuery)

    with pytest.raises(RecordUnencodable, match=f"more than {MAX_BYTES}"):
        serde.encode(a_text_query("x" * MAX_BYTES))
    with pytest.raises(RecordUndecodable, match=f"more than {MAX_BYTES}"):
        serde.decode(bytes(MAX_BYTES + 1))


def test_bytes_pass_untouched() -> None:
    serde = Serde(FixedIds({}), "dead-letters-value", bytes)

    assert serde.encode(b"\xff\0anything") == b"\xff\0anything"
    assert serde.decode(b"") == b""


def test_records_start_with_a_zero_byte_and_their_schema_id() -> None:
    serde = Serde(FixedIds({0xFFFF_FFFE: {}}, written=0xFFFF_FFFE), "texts-value", TextQuery)

    assert serde.encode(a_text_query())[:5] == b"\0\xff\xff\xff\xfe"


def test_an_unknown_schema_id_is_told_and_asked_again_next_time() -> None:
    """The source may have fetched it in between."""
    known: dict[int, Any] = {}
    ids = FixedIds(known, written=7)
    serde = Serde(ids, "texts-value", TextQuery)
    data = serde.encode(a_text_query())

    with pytest.raises(SchemaUnknown) as unknown:
        serde.decode(data)
    known[7] = schema_of(TextQuery)

    assert unknown.value.schema_id == 7
    assert serde.decode(data) == a_text_query()
    assert serde.decode(data) == a_text_query()
    assert ids.asked == [7, 7]


def test_a_schema_of_another_record_is_refused() -> None:
    data = a_serde(Ranking).encode(Ranking(cell="a/b", counted={}))

    with pytest.raises(RecordUndecodable, match=r"schema 1 cannot be read as TextQuery: .*Ranking"):
        Serde(FixedIds({1: schema_of(Ranking)}), "texts-value", TextQuery).decode(data)


def test_the_origin_is_read_from_a_damaged_record() -> None:
    data = a_serde(Embedding).encode(an_embedding())
    pieces: list[bytes] = []
    encoder(Origin)(an_origin(), pieces.append)
    end = 5 + len(b"".join(pieces))

    assert origin_of(data) == an_origin()
    assert origin_of(data[:end]) == an_origin()
    assert origin_of(data[:end] + b"\xff" * 20) == an_origin()
    assert not any(origin_of(data[:cut]) for cut in range(end))


@given(st.binary(max_size=200))
def test_reading_an_origin_from_anything_never_raises(data: bytes) -> None:
    origin_of(data)
    origin_of(b"\0\0\0\0\1" + data)


def test_no_origin_is_made_up_of_other_things() -> None:
    document = KnowledgeDocument(document_id="d", title="t", text="some text of a document", updated_at=NOON)

    assert origin_of(a_serde(KnowledgeDocument).encode(document)) is None
    assert origin_of(b"") is None
    assert origin_of(b"\1" + a_serde(TextQuery).encode(a_text_query())[1:]) is None
