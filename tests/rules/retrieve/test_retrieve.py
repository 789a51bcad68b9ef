"""Which of the passages found become context."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.retrieve import rules
from schemas.records import Domain
from streams.ports import FoundChunk
from streams.settings import RetrieveSettings
from tests.given import a_request, an_embedding

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
    context = rules.without_store(an_embedding())

    assert (context.chunks, context.degradations) == ((), ("vector_store_unavailable",))


def test_a_pack_that_cannot_be_had_is_named() -> None:
    embedding = an_embedding(a_request(context_pack_id="pack-7"))

    assert rules.context(embedding, [], SETTINGS).degradations == ("context_pack_unavailable",)
    assert len(rules.without_store(embedding).degradations) == 2


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
