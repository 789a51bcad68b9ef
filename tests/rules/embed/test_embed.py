"""What a request carries on with once its vector is known."""

from agents.embed.rules import embedding
from schemas.ids import embedding_id
from tests.given import a_request


def test_the_id_follows_from_model_and_text_alone() -> None:
    assert embedding_id("m", "text") == embedding_id("m", "text")
    assert len({embedding_id("m", "text"), embedding_id("n", "text"), embedding_id("m", "texts")}) == 3
    assert embedding_id("ab", "c") != embedding_id("a", "bc")


def test_the_request_travels_with_its_vector() -> None:
    request = a_request()

    made = embedding(request, "minilm", (0.6, 0.8))

    assert (made.origin, made.request, made.vector, made.model) == (request.origin, request, (0.6, 0.8), "minilm")
