from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from streams.deadletter import dead_letter_headers
from streams.errors import StoreUnavailable, Undecodable
from topology.letters import grouped, letter_of, redriven
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


def of_the_engine(offset: int, *, stage: str = "admit", unavailable: bool = False) -> Read:
    error = StoreUnavailable("no answer") if unavailable else Undecodable("no TextQuery")
    return dead(
        offset=offset,
        headers=tuple(dead_letter_headers(Received(), error, stage=stage, attempts=3, at=AT, stack="stack")),
    )


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


def test_letters_are_grouped_by_code_and_stage_the_most_frequent_first() -> None:
    reads = [
        of_the_engine(1),
        of_the_engine(2, stage="index", unavailable=True),
        of_the_engine(3, stage="index", unavailable=True),
    ]

    groups = grouped(letter_of(read) for read in reads)

    assert [(g.error_code, g.stage, g.count, g.newest) for g in groups] == [
        ("store_unavailable", "index", 2, "0@3"),
        ("undecodable", "admit", 1, "0@1"),
    ]


def test_a_redriven_record_keeps_key_bytes_and_headers_and_goes_on_counting() -> None:
    back = redriven(of_the_engine(5), ["texts"])

    assert back is not None
    assert (back.topic, back.key, back.value) == ("texts", b"\xffkey", b"\x00bytes")
    assert dict(back.headers) == {
        "traceparent": b"00-1",
        "forgestream.attempts": b"3",
        "forgestream.first-failed-at": AT.isoformat().encode(),
    }


def test_a_letter_from_a_topic_that_is_not_ours_stays() -> None:
    assert redriven(of_the_engine(5), ["answers"]) is None
    assert redriven(dead(), ["texts"]) is None
