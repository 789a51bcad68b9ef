"""What is taken of a pack, whatever version wrote it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clients.pack_reading import MOST_BYTES, MOST_PASSAGES, pack_of
from streams.errors import PackInvalid
from streams.packs import Pack

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["primary", "supporting", "text", "chunk_id", "metadata", "version", "title"]), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip
WHOLE: dict[str, Any] = {
    "bundle_hash": "v3",
    "primary": {"chunk_id": "c1", "document_id": "d1", "title": "Moby Dick", "text": "Call me Ishmael."},
    "supporting": [{"chunk_id": "c2", "document_id": "d2", "title": "", "text": "The whale is white."}],
    "metadata": {"curator": "x"},
}


def test_a_whole_pack_is_taken_as_it_is() -> None:
    pack = pack_of("p", WHOLE)

    assert (pack.pack_id, pack.version, pack.incomplete) == ("p", "v3", ())
    assert [(one.chunk_id, one.document_id, one.title, one.primary) for one in pack.passages] == [
        ("c1", "d1", "Moby Dick", True),
        ("c2", "d2", "", False),
    ]


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        ({"primary": "One."}, ["One."]),
        ({"primary": ["One.", {"content": "Two."}]}, ["One.", "Two."]),
        ({"primary": {"text": "One."}, "supporting": {"text": "Two."}, "novelty": [1, {}]}, ["One.", "Two."]),
        ({"primary": {"text": "One.", "rank": 1}, "supporting": None, "metadata": "?"}, ["One."]),
    ],
)
def test_fields_may_be_missing_added_or_of_an_older_shape(said: object, texts: list[str]) -> None:
    pack = pack_of("p", said)

    assert [passage.text for passage in pack.passages] == texts
    assert pack.incomplete == ()
    assert all(passage.document_id == "p" for passage in pack.passages)


def test_what_is_of_the_wrong_kind_is_left_out_and_named() -> None:
    pack = pack_of("p", {"supporting": [{"text": "One."}, {"text": ["x"]}, [], ""]})

    assert [passage.text for passage in pack.passages] == ["One."]
    assert pack.incomplete == (
        "supporting[1] has no text",
        "supporting[2] has no text",
        "supporting[3] has no text",
        "primary is missing",
    )


@pytest.mark.parametrize(
    "said", [None, [], "text", {}, {"primary": ""}, {"primary": {"text": " "}}, {"supporting": []}]
)
def test_what_holds_no_text_is_no_pack(said: object) -> None:
    with pytest.raises(PackInvalid, match="pack p"):
        pack_of("p", said)


def test_ids_and_versions_that_are_missing_come_from_the_content() -> None:
    said = {"primary": "One.", "supporting": ["Two."]}

    first, again, other = pack_of("p", said), pack_of("p", said), pack_of("p", {**said, "supporting": ["Three."]})

    assert first == again
    assert first.version != other.version
    assert len({passage.chunk_id for passage in first.passages}) == 2


def test_an_id_is_there_once_and_everything_is_bounded() -> None:
    many = [{"chunk_id": f"c{at}", "text": "x" * 5_000} for at in range(200)]

    pack = pack_of("p", {"primary": WHOLE["primary"], "supporting": [{"chunk_id": "c1", "text": "again"}, *many]})

    assert len({passage.chunk_id for passage in pack.passages}) == len(pack.passages) <= MOST_PASSAGES
    assert sum(len(passage.text) for passage in pack.passages) <= MOST_BYTES
    assert pack.passages[0].text == "Call me Ishmael."
    assert any("beyond" in problem for problem in pack.incomplete)


@given(JSON)
def test_anything_is_a_pack_with_text_or_none_at_all(said: object) -> None:
    try:
        pack = pack_of("p", said)
    except PackInvalid:
        return
    assert isinstance(pack, Pack)
    assert pack.version
    assert all(passage.text.strip() and passage.chunk_id and passage.document_id for passage in pack.passages)
