"""How a document becomes passages."""

import dataclasses
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.index import rules
from schemas.records import KnowledgeDocument
from streams.errors import RecordInvalid
from streams.settings import IndexSettings
from tests.given import NOON

SETTINGS = IndexSettings(chunk_chars=50)


def a_document(text: str, document_id: str = "d", media_type: str = "text/plain") -> KnowledgeDocument:
    return KnowledgeDocument(
        document_id=document_id, title="Title", text=text, media_type=media_type, tenant="acme", updated_at=NOON
    )


def test_paragraphs_share_a_passage_while_they_fit() -> None:
    text = "One short paragraph.\n\nAnother one.\n\nA third one that is longer than that."

    assert rules.split(text, 50) == (
        "One short paragraph.\n\nAnother one.",
        "A third one that is longer than that.",
    )


def test_a_long_paragraph_is_divided_between_sentences() -> None:
    text = "The first sentence is here. The second sentence is here. The third."

    assert rules.split(text, 40) == ("The first sentence is here.", "The second sentence is here. The third.")


def test_a_long_sentence_is_divided_between_words() -> None:
    assert rules.split("one two three four five", 10) == ("one two", "three four", "five")


def test_a_giant_word_is_divided_at_the_limit() -> None:
    assert rules.split("x" * 25, 10) == ("x" * 10, "x" * 10, "x" * 5)


@given(st.text(), st.integers(1, 40))
@example("\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059\u3002" * 20, 17)
@example("\r\n \x1c\u2003a\u2028b\x85c", 1)
@example("x" * 1000, 7)
@example("Dr. A. B. C. said e.g. this.\n\n\nAnd. That." * 5, 11)
def test_nothing_is_lost_nothing_is_over_the_limit_and_order_is_kept(text: str, limit: int) -> None:
    pieces = rules.split(text, limit)

    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(1 <= len(piece) <= limit and piece == piece.strip() for piece in pieces)


@pytest.mark.parametrize("piece", ["a. ", "x", "\n", "ab\n\n", " \n", "\n a", "\u3002", ". "])
def test_hostile_repetition_takes_time_in_proportion_to_its_length(piece: str) -> None:
    started = time.process_time()

    rules.split(piece * 100_000, 600)

    assert time.process_time() - started < 10


def test_ids_are_the_same_every_time_and_unlike_those_of_other_documents() -> None:
    text = "One sentence is here, and it is long enough. " * 3

    def ids(document_id: str) -> list[str]:
        document = a_document(text, document_id=document_id)
        found = rules.passages(document, SETTINGS)
        return [chunk.chunk_id for chunk in rules.chunks(document, found, [(1.0,)] * len(found))]

    assert ids("d") == ids("d") == ["d#0", "d#1", "d#2"]
    assert not set(ids("d")) & set(ids("d#0"))


def test_a_chunk_carries_what_is_known_of_its_document() -> None:
    document = a_document("Text.")

    (chunk,) = rules.chunks(document, rules.passages(document, SETTINGS), [(0.6, 0.8)])

    assert (chunk.title, chunk.text, chunk.tenant, chunk.position, chunk.vector) == (
        "Title", "Text.", "acme", 0, (0.6, 0.8),
    )  # fmt: skip


def test_the_title_is_part_of_what_is_embedded() -> None:
    assert rules.texts_to_embed(rules.passages(a_document("x"), SETTINGS)) == ["Title\nx"]
    assert rules.texts_to_embed(rules.passages(dataclasses.replace(a_document("x"), title=""), SETTINGS)) == ["x"]


@pytest.mark.parametrize("text", ["", " \n\n ", "\t"])
def test_an_empty_document_has_no_passages(text: str) -> None:
    assert rules.passages(a_document(text), SETTINGS) == ()


def test_markup_is_no_part_of_a_passage() -> None:
    document = a_document("<h1>Tides</h1><p>They rise &amp; fall.</p>", media_type="text/html")

    assert rules.passages(document, SETTINGS) == (rules.Part("Title > Tides", "They rise & fall."),)


@pytest.mark.parametrize("media_type", ["text/markdown", "text/html"])
def test_no_passage_goes_beyond_a_heading_and_each_knows_those_it_stands_under(media_type: str) -> None:
    text = "Before.\n\n# Title\n\n## Tides\n\nThey rise.\n\n### Spring *tides*\n\nHigh.\n\n## Moon\n\nFar."
    if media_type == "text/html":
        text = (
            "<p>Before.</p><h1>Title</h1><h2>Tides</h2><p>They rise.</p><h3>Spring <em>tides</em></h3>High."
            "<h2>Moon</h2><p>Far."
        )

    assert [(part.title, part.text) for part in rules.passages(a_document(text, media_type=media_type), SETTINGS)] == [
        ("Title", "Before."),
        ("Title > Tides", "They rise."),
        ("Title > Tides > Spring tides", "High."),
        ("Title > Moon", "Far."),
    ]


def test_code_is_no_heading_and_an_underlined_line_is_one() -> None:
    text = "Setup\n=====\n```sh\n# not a heading\n```\n~~~\n# nor this\n```\n~~~\n- a list\n---\nEnd."

    (part,) = rules.passages(a_document(text, media_type="text/markdown"), IndexSettings())

    assert part.title == "Title > Setup"
    assert "# not a heading" in part.text
    assert part.text.endswith("- a list\n---\nEnd.")


@pytest.mark.parametrize(
    ("media_type", "text"),
    [("text/markdown", "# Only\n\n## Headings"), ("text/html", "<h1>Only</h1><h2>Headings</h2>")],
)
def test_a_document_of_headings_alone_is_found_by_them(media_type: str, text: str) -> None:
    assert "Headings" in rules.passages(a_document(text, media_type=media_type), SETTINGS)[0].text


@given(st.text(st.sampled_from("<h1>/2#=-` \nab"), max_size=80), st.sampled_from(rules.MEDIA_TYPES))
def test_any_document_has_passages_within_the_limit(text: str, media_type: str) -> None:
    parts = rules.passages(a_document(text, media_type=media_type), SETTINGS)

    assert all(1 <= len(part.text) <= 50 for part in parts)
    if media_type == "text/plain":
        assert "".join("".join(part.text for part in parts).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "changes", [{"document_id": ""}, {"document_id": "x" * 257}, {"media_type": "application/pdf"}, {"media_type": ""}]
)
def test_a_document_that_cannot_be_stored_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(RecordInvalid):
        rules.passages(a_document("text", **changes), SETTINGS)


def test_caches_hear_of_a_change_and_of_a_deletion() -> None:
    first, second = rules.updated(a_document("one")), rules.updated(a_document("two"))

    assert (first.subject, first.reason, first.at) == ("document:d", "updated", NOON)
    assert first.version != second.version
    assert rules.deleted("d", NOON).reason == "deleted"
