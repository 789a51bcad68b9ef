"""What a request carries on with once its vector is known."""

import hashlib

from schemas.records import Embedding, Request
from streams.ports import Vector

_ID_LETTERS = 32


def embedding(request: Request, model: str, vector: Vector) -> Embedding:
    """Return the request with its vector."""
    return Embedding(
        origin=request.origin,
        request=request,
        embedding_id=embedding_id(model, request.query),
        model=model,
        vector=vector,
    )


def embedding_id(model: str, text: str) -> str:
    """Return the id of the vector `model` gives `text`: 128 bits of the SHA-256 of both."""
    return hashlib.sha256(f"{model}\0{text}".encode()).hexdigest()[:_ID_LETTERS]
