"""Wiring of embed."""

from agents.embed import rules
from schemas.records import Embedding, Request
from streams.app import App
from streams.emit import Emit
from streams.ports import Encoder
from streams.topic import Topic


def attach(app: App, *, reads: Topic[Request], writes: Topic[Embedding], encoder: Encoder) -> None:
    """Embed queries; those under way at the same time share batches inside the encoder."""

    @app.stage(reads, name="embed")
    async def embed(request: Request, emit: Emit) -> None:
        (vector,) = await encoder.encode([request.query])
        emit(writes, rules.embedding(request, encoder.model, vector))
