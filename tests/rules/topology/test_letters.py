from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from schemas.records import Redrive
from streams.deadletter import code_version, dead_letter_headers
from streams.errors import HandlerFailed, PipelineError, RecordInvalid, StoreUnavailable, Undecodable
from topology.letters import Choice, grouped, letter_of, redriven, refusal
from topology.reading import Read

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Received:
    topic: str = "texts"
    partition: int = 2
    offset: int = 17
    timestamp: int = 0
    key: bytes | None = b"\xffkey"
    value: bytes | None = b"\x00\x00\x00\x00\x01x"
    headers: Sequence[tuple[str, bytes]] = (("traceparent", b"00-1"),)


def dead(*, partition: int = 0, offset: int = 0, headers: tuple[tuple[str, bytes], ...] = ()) -> Read:
    return Read(
        topic="dead-letters",
        partition=partition,
        offset=offset,
        at=AT,
        key=b"\xffkey",
        value=b"\x00bytes",
        headers=headers,
    )


UNAVAILABLE, NO_QUERY = StoreUnavailable("no answer"), Undecodable("no TextQuery")


def of_the_engine(
    offset: int,
    error: PipelineError = NO_QUERY,
    *,
    stage: str = "admit",
    received: Received = Received(),
) -> Read:
    return dead(
        offset=offset,
        headers=tuple(dead_letter_headers(received, error, stage=stage, attempts=3, at=AT, stack="stack")),
    )


def sent_back(letter_id: str = "0@5") -> Redrive:
    return Redrive(letter_id=letter_id, topic="texts", error_code="", stage="", redrives=1, issued_by="ada@desk", at=AT)


def test_a_letter_tells_where_it_failed_and_why() -> None:
    letter = letter_of(of_the_engine(5))

    assert letter.letter_id == "0@5"
    assert (letter.stage, letter.error_code, letter.origin) == ("admit", "undecodable", "texts/2@17")
    assert (letter.attempts, letter.schema_id, letter.stacktrace) == ("3", "1", "stack")
    assert letter.headers == {"traceparent": "00-1"}


def test_a_letter_that_the_engine_did_not_write_is_shown_too() -> None:
    letter = letter_of(dead(headers=(("forgestream.stage", b"\xff\xfe"),)))

    assert letter.error_code == "?"
    assert letter.origin == "?/?@?"


def test_letters_are_grouped_by_code_stage_and_schema_the_most_frequent_first() -> None:
    reads = [
        of_the_engine(1),
        of_the_engine(2, UNAVAILABLE, stage="index"),
        of_the_engine(3, UNAVAILABLE, stage="index"),
        of_the_engine(4, UNAVAILABLE, stage="index", received=Received(value=b"\x00\x00\x00\x00\x07x")),
    ]

    groups = grouped(letter_of(read) for read in reads)

    assert [(g.error_code, g.stage, g.schema_id, g.count, g.newest) for g in groups] == [
        ("store_unavailable", "index", "1", 2, "0@3"),
        ("store_unavailable", "index", "7", 1, "0@4"),
        ("undecodable", "admit", "1", 1, "0@1"),
    ]


def test_a_redriven_record_keeps_key_bytes_and_headers_and_goes_on_counting() -> None:
    back = redriven(of_the_engine(5), ["texts"])

    assert back is not None
    assert (back.topic, back.key, back.value) == ("texts", b"\xffkey", b"\x00bytes")
    assert dict(back.headers) == {
        "traceparent": b"00-1",
        "forgestream.attempts": b"3",
        "forgestream.first-failed-at": AT.isoformat().encode(),
        "forgestream.redrives": b"1",
    }


def test_a_record_that_fails_after_each_redrive_says_how_often_it_was_tried() -> None:
    """Through the engine and back three times: attempts and redrives add up, everything else is as it came."""
    received = Received()
    for _ in range(3):
        back = redriven(of_the_engine(5, received=received), ["texts"])
        assert back is not None
        received = Received(headers=tuple(back.headers))

    letter = letter_of(of_the_engine(9, received=received))

    assert (letter.attempts, letter.redrives, letter.headers) == ("12", 3, {"traceparent": "00-1"})


@pytest.mark.parametrize("count", [b"", b"-1", b"many", b"9" * 400, "\u0663".encode(), b"\xff"])
def test_a_count_that_a_producer_made_up_counts_nothing(count: bytes) -> None:
    found = dead(headers=(("__streams.errors.topic", b"texts"), ("forgestream.redrives", count)))

    back = redriven(found, ["texts"])

    assert letter_of(found).redrives == 0
    assert back is not None
    assert dict(back.headers)["forgestream.redrives"] == b"1"


def test_what_would_fail_the_same_way_is_refused_with_its_reason() -> None:
    undecodable, bug = letter_of(of_the_engine(5)), letter_of(of_the_engine(6, HandlerFailed("a bug")))
    invalid, down = letter_of(of_the_engine(7, RecordInvalid("NaN"))), letter_of(of_the_engine(8, UNAVAILABLE))

    def why(letter: object, *, unreadable: str | None = None, version: str = code_version()) -> str | None:
        return refusal(letter, before=None, unreadable=unreadable, version=version)  # type: ignore[arg-type]

    assert code_version()
    assert "schema 99 is not known" in (why(undecodable, unreadable="schema 99 is not known") or "")
    assert why(undecodable) is None
    assert f"still version {code_version()}" in (why(bug) or "")
    assert f"still version {code_version()}" in (why(invalid) or "")
    assert why(bug, version="99.0") is None
    assert why(bug, version="") is None
    assert why(down) is None


def test_a_letter_that_was_sent_back_is_not_sent_again() -> None:
    why = refusal(letter_of(of_the_engine(5, UNAVAILABLE)), before=sent_back(), unreadable=None, version="1")

    assert why == "was sent back already, by ada@desk at 2026-11-21 12:00:00 UTC"


def test_letters_are_chosen_by_what_is_given() -> None:
    letter = letter_of(of_the_engine(5))

    assert Choice().takes(letter)
    assert Choice(code="undecodable", stage="admit", schema="1", ids=frozenset({"0@5"})).takes(letter)
    for other in (Choice(code="x"), Choice(stage="x"), Choice(schema="2"), Choice(ids=frozenset({"0@6"}))):
        assert not other.takes(letter)


def test_a_letter_from_a_topic_that_is_not_ours_stays() -> None:
    assert redriven(of_the_engine(5), ["answers"]) is None
    assert redriven(dead(), ["texts"]) is None
