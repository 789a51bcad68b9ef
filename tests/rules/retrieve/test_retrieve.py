"""Which of the passages found become context."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.retrieve import rules
from schemas.records import Domain, Status
from streams.errors import DataForgeRefused, DataForgeUnavailable, PackInvalid, PackNotFound, PipelineError
from streams.packs import Pack, Passage
from streams.ports import FoundChunk
from streams.settings import DataForgeSettings, RetrieveSettings
from tests.given import NOON, a_request, an_embedding, an_origin

SETTINGS = RetrieveSettings(keep=2, min_relevance=0.35)


def found(text: str, similarity: float = 0.6, *, chunk_id: str = "") -> FoundChunk:
    return FoundChunk(
        chunk_id=chunk_id or f"{text}#0",
        document_id=text,
        title="",
        text=text,
        domain=Domain.GENERAL,
        similarity=similarity,
    )


def decisions(*chunks: FoundChunk, query: str = "whales") -> dict[str, str]:
    context = rules.context(an_embedding(a_request(query)), chunks, SETTINGS)
    return {chunk.text: chunk.reason for chunk in context.chunks}


def test_the_best_are_kept_and_every_other_says_why_not() -> None:
    assert decisions(
        found("fog", 0.1), found("whales swim", 0.9), found("seals bark", 0.7), found("owls fly", 0.5)
    ) == {
        "whales swim": "relevant",
        "seals bark": "relevant",
        "owls fly": "beyond_keep",
        "fog": "below_min_relevance",
    }


def test_a_passage_that_says_the_same_again_makes_room_for_another() -> None:
    chosen = decisions(
        found("The white whale sank the ship.", 0.9),
        found("the white whale SANK the ship", 0.8),
        found("Ahab lost his leg.", 0.7),
    )

    assert list(chosen.values()) == ["relevant", "near_duplicate_of:The white whale sank the ship.#0", "relevant"]


def test_words_in_common_decide_between_passages_equally_near() -> None:
    first, *_ = decisions(found("seals bark"), found("whales swim"))

    assert first == "whales swim"


def test_equally_relevant_passages_keep_a_fixed_order() -> None:
    ab = [found("aaa", chunk_id="a"), found("bbb", chunk_id="b")]

    assert list(decisions(*ab)) == list(decisions(*reversed(ab))) == ["aaa", "bbb"]


def test_without_the_store_the_request_goes_on_and_says_so() -> None:
    context = rules.without_context(an_embedding(), (rules.STORE_UNAVAILABLE,))

    assert (context.chunks, context.degradations) == ((), ("vector_store_unavailable", "no_context"))


@pytest.mark.parametrize(
    ("error", "degradation"),
    [
        (None, "context_pack_unavailable"),
        (DataForgeUnavailable("down"), "context_pack_unavailable"),
        (DataForgeRefused("wrong key"), "context_pack_unavailable"),
        (PackNotFound("no such pack"), "context_pack_not_found"),
        (PackInvalid("no text"), "context_pack_invalid"),
    ],
)
def test_a_pack_that_cannot_be_had_is_named(error: PipelineError | None, degradation: str) -> None:
    assert rules.why_without_pack(error) == degradation


def a_pack(*texts: str, primary: str = "The white whale is Moby Dick.", incomplete: tuple[str, ...] = ()) -> Pack:
    passages = [Passage(chunk_id="main", document_id="p", title="", text=primary, primary=True)]
    passages += [Passage(chunk_id=text, document_id="p", title="", text=text) for text in texts]
    return Pack(pack_id="p", version="7", passages=tuple(passages), incomplete=incomplete)


def test_the_primary_passage_of_a_pack_comes_first_however_unlike_the_question_it_is() -> None:
    pack = a_pack("whales swim", "fog")

    context = rules.of_pack(an_embedding(a_request("whales")), pack, [(0.0, 1.0), (1.0, 0.0), (0.0, 1.0)], SETTINGS)

    assert [(chunk.chunk_id, chunk.reason) for chunk in context.chunks] == [
        ("main", "primary"),
        ("whales swim", "relevant"),
        ("fog", "below_min_relevance"),
    ]
    assert (context.pack_version, context.degradations) == ("7", ())
    assert {chunk.source for chunk in context.chunks} == {"dataforge"}


def test_a_pack_that_could_not_be_read_whole_says_so() -> None:
    pack = a_pack(incomplete=("supporting[0] has no text",))

    assert rules.of_pack(an_embedding(), pack, [(1.0, 0.0)], SETTINGS).degradations == ("context_pack_incomplete",)


def test_a_primary_passage_that_gives_orders_is_dropped_and_the_answer_marked() -> None:
    context = rules.of_pack(an_embedding(), a_pack(), [(1.0, 0.0)], SETTINGS)

    cleaned = rules.without(context, ["main"])

    assert [(chunk.kept, chunk.reason) for chunk in cleaned.chunks] == [(False, "injection_suspected")]
    assert cleaned.degradations == ("context_pack_primary_refused",)


def test_only_a_strict_request_ends_when_its_context_is_degraded() -> None:
    strict, lenient = an_embedding(a_request(strict=True)), an_embedding(a_request())

    refused = rules.refusal(rules.without_context(strict, ()), NOON)

    assert refused is not None
    assert (refused.status, refused.errors[0].error_code, refused.degradations) == (
        Status.FAILED,
        "strict_refused",
        ("no_context",),
    )
    assert rules.refusal(rules.context(strict, [], SETTINGS), NOON) is None
    assert rules.refusal(rules.without_context(lenient, ()), NOON) is None


def test_a_pack_is_asked_for_again_after_2_4_and_8_seconds() -> None:
    assert list(rules.pauses_s(DataForgeSettings())) == [2.0, 4.0, 8.0]


@pytest.mark.parametrize(("left_s", "patience_s"), [(60, 50), (25, 15), (12, 6), (2, 1), (0, 0)])
def test_waiting_for_a_pack_leaves_time_for_the_answer(left_s: float, patience_s: float) -> None:
    origin = replace(an_origin(), deadline=NOON + timedelta(seconds=left_s))

    assert rules.patience_s(origin, NOON, DataForgeSettings()) == patience_s


def test_among_equally_relevant_passages_the_one_unlike_the_first_is_kept() -> None:
    first, again, other = (
        found("ahab hunts the white whale at sea", 0.9, chunk_id="a"),
        found("ahab hunts the white whale on shore", 0.8, chunk_id="b"),
        found("starbuck doubts his captain", 0.79, chunk_id="c"),
    )

    assert list(decisions(first, again, other, query="zebra").values()) == ["relevant", "beyond_keep", "relevant"]


def test_finding_nothing_is_no_degradation() -> None:
    context = rules.context(an_embedding(), [], SETTINGS)

    assert (context.chunks, context.degradations) == ((), ())


@pytest.mark.parametrize("query", ["?", "is it", "\U0001f40b", "\u6771\u4eac"])
def test_a_question_without_content_words_is_judged_by_its_vector(query: str) -> None:
    assert decisions(found("whales", 0.6), query=query) == {"whales": "relevant"}


@given(st.floats(), st.floats())
def test_relevance_is_0_to_1_whatever_the_store_says(similarity: float, overlap: float) -> None:
    if not math.isnan(overlap):
        assert 0.0 <= rules.relevance(similarity, overlap) <= 1.0


@given(
    st.lists(
        st.builds(found, st.text(max_size=30), st.floats(), chunk_id=st.text(min_size=1, max_size=3)), max_size=12
    ),
    st.text(max_size=30),
)
def test_every_passage_is_decided_on_best_first_and_never_too_many_kept(chunks: list[FoundChunk], query: str) -> None:
    decided = rules.context(an_embedding(a_request(query)), chunks, SETTINGS).chunks

    assert sorted(chunk.chunk_id for chunk in decided) == sorted(chunk.chunk_id for chunk in chunks)
    assert [chunk.relevance for chunk in decided] == sorted((chunk.relevance for chunk in decided), reverse=True)
    assert sum(chunk.kept for chunk in decided) <= SETTINGS.keep
    assert all(chunk.kept == (chunk.reason == "relevant") and -1 <= chunk.similarity <= 1 for chunk in decided)
    assert all(chunk.relevance >= SETTINGS.min_relevance for chunk in decided if chunk.kept)
