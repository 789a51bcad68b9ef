"""What a request carries on with once its vector is known."""

from schemas.ids import embedding_id
from schemas.records import Embedding, Request
from streams.ports import Vector


def embedding(request: Request, model: str, vector: Vector) -> Embedding:
    """Return the request with its vector."""
    return Embedding(
        origin=request.origin,
        request=request,
        embedding_id=embedding_id(model, request.query),
        model=model,
        vector=vector,
    )
