"""What models said: recorded on a topic, and said again without asking them."""

import hashlib
import sqlite3
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Protocol

from schemas.codec import RecordUndecodable, SchemaUnknown, Serde
from schemas.records import RecordedAnswer
from streams.errors import (
    ContentRefused,
    ContextOverflow,
    DeliveryFailed,
    PipelineError,
    ProviderRefused,
    ProviderUnavailable,
)
from streams.ports import Ask, Encoder, Finish, Model, Piece, Vector
from streams.producer import Producer
from streams.topic import Topic
from topology.reading import Reader
from topology.replay.clock import EventClock
from topology.replay.order import Answers

GAVE_UP = "the asker gave up before the end of the answer"
NOT_RECORDED = "nothing is recorded for this ask; replay once with --answers reuse"


REFUSALS = {kind.code: kind for kind in (ProviderRefused, ContentRefused, ContextOverflow)}


class Book(Protocol):
    """Knows what models said."""

    def get(self, ask_id: str) -> RecordedAnswer | None:
        """Return the recording of an ask."""

    def put(self, answer: RecordedAnswer) -> None:
        """Keep a recording."""


class AnswerBook:
    """The topic of recorded answers, indexed in a file: what is in memory does not grow with it."""

    def __init__(
        self, topic: Topic[RecordedAnswer], serde: Serde[RecordedAnswer], producer: Producer, file: Path
    ) -> None:
        self._topic = topic
        self._serde = serde
        self._producer = producer
        self._index = sqlite3.connect(file, isolation_level=None)
        self._index.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE IF NOT EXISTS answers (ask_id TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID"
        )
        self.unconfirmed = 0
        self.lost: str | None = None

    async def read(self, reader: Reader) -> int:
        """Take in what the topic holds; returns how many answers are known."""
        async with aclosing(reader.records()) as records:
            async for found in records:
                if found.key is not None and found.value is not None:
                    self._keep(found.key.decode("utf-8", "replace"), found.value)
        return int(self._index.execute("SELECT count(*) FROM answers").fetchone()[0])

    def get(self, ask_id: str) -> RecordedAnswer | None:
        """Return the recording of an ask, None for bytes that are no recording."""
        row = self._index.execute("SELECT value FROM answers WHERE ask_id = ?", (ask_id,)).fetchone()
        try:
            return None if row is None else self._serde.decode(row[0])
        except (RecordUndecodable, SchemaUnknown):
            return None

    def put(self, answer: RecordedAnswer) -> None:
        """Keep a recording, also on the topic; `check` tells whether the broker has confirmed it."""
        value = self._serde.encode(answer)
        self._keep(answer.ask_id, value)
        self.unconfirmed += 1
        self._producer.produce(self._topic.name, value, answer.ask_id.encode(), on_delivery=self._delivered, headers=())

    def check(self) -> None:
        """Raise DeliveryFailed when the broker did not take a recording."""
        if self.lost is not None:
            raise DeliveryFailed(f"the broker did not take a recorded answer: {self.lost}")

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def _keep(self, ask_id: str, value: bytes) -> None:
        self._index.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (ask_id, value))

    def _delivered(self, error: object, _message: object) -> None:
        self.unconfirmed -= 1
        if error is not None:
            self.lost = str(error)


class RecordedModel:
    """A `Model` whose calls are recorded, and said again from the recording.

    Whether a call is made or said again, the request's clock moves by what the call took when it was made: its latency
    in the results is the same both times.
    """

    def __init__(self, model: Model, book: Book, answers: Answers, clock: EventClock) -> None:
        self.spec = model.spec
        self.tokenizer = model.tokenizer
        self._model = model
        self._book = book
        self._answers = answers
        self._clock = clock

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece | Finish, None]:
        """Yield the recorded answer, or the model's own while it is being recorded.

        Raises:
            ProviderUnavailable: as the model did.
            ProviderRefused: as the model did; or nothing is recorded and the model must not be asked.
        """
        ask_id = ask_id_of(self.spec.name, ask)
        known = None if self._answers is Answers.FRESH else self._book.get(ask_id)
        if known is None and self._answers is Answers.RECORDED:
            raise ProviderRefused(f"{self.spec.name}: {NOT_RECORDED}")
        if known is not None and (known.error_code is None or self._answers is Answers.RECORDED):
            pieces = self._said_again(ask, known)
        else:
            pieces = self._asked(ask, _Call(ask_id, self.spec.name))
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def _said_again(self, ask: Ask, known: RecordedAnswer) -> AsyncGenerator[Piece | Finish, None]:
        self._clock.spend(ask.request_id, known.ttft_ms)
        if known.text:
            yield Piece(text=known.text)
        self._clock.spend(ask.request_id, known.latency_ms - known.ttft_ms)
        if known.error_code is not None:
            raise REFUSALS.get(known.error_code, ProviderUnavailable)(known.error)
        yield Finish(
            finish_reason=known.finish_reason, input_tokens=known.input_tokens, output_tokens=known.output_tokens
        )

    async def _asked(self, ask: Ask, call: "_Call") -> AsyncGenerator[Piece | Finish, None]:
        try:
            async for piece in self._model.stream(ask):
                if isinstance(piece, Finish):
                    answer = call.answered(piece)
                    self._book.put(answer)
                    self._clock.spend(ask.request_id, answer.latency_ms - answer.ttft_ms)
                elif call.add(piece):
                    self._clock.spend(ask.request_id, call.ttft_ms)
                yield piece
        except PipelineError as error:
            self._failed(ask, call, error.code, error.message)
            raise
        finally:
            if not call.ended:
                self._failed(ask, call, ProviderUnavailable.code, GAVE_UP)

    def _failed(self, ask: Ask, call: "_Call", code: str, why: str) -> None:
        answer = call.failed(code, why)
        self._book.put(answer)
        self._clock.spend(ask.request_id, answer.latency_ms - answer.ttft_ms)


class RecordedEncoder:
    """An `Encoder` whose vectors are recorded: a batched int8 model gives a text another last digit beside other texts."""

    def __init__(self, encoder: Encoder, book: Book) -> None:
        self.model = encoder.model
        self.dimension = encoder.dimension
        self._encoder = encoder
        self._book = book

    async def encode(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one vector per text, in order; the first one a text ever had. Raises ProviderUnavailable."""
        ids = [text_id_of(self.model, text) for text in texts]
        found = {text_id: known.vector for text_id in ids if (known := self._book.get(text_id)) is not None}
        unknown = {text_id: text for text_id, text in zip(ids, texts, strict=True) if text_id not in found}
        if unknown:
            vectors = await self._encoder.encode(list(unknown.values()))
            for text_id, vector in zip(unknown, vectors, strict=True):
                known = self._book.get(text_id)  # another request may have asked for the same text meanwhile
                found[text_id] = vector if known is None else known.vector
                if known is None:
                    self._book.put(self._recorded(text_id, vector))
        return [found[text_id] for text_id in ids]

    def _recorded(self, text_id: str, vector: Vector) -> RecordedAnswer:
        return RecordedAnswer(ask_id=text_id, model=self.model, latency_ms=0.0, at=datetime.now(UTC), vector=vector)


class _Call:
    """One call of a model while it goes on. Times are whole microseconds: what is recorded is what is spent."""

    def __init__(self, ask_id: str, model: str) -> None:
        self.ttft_ms = 0.0
        self.ended = False
        self._ask_id = ask_id
        self._model = model
        self._began = monotonic()
        self._text: list[str] = []

    def add(self, piece: Piece) -> bool:
        """Take a piece; True for the first."""
        self._text.append(piece.text)
        if len(self._text) > 1:
            return False
        self.ttft_ms = self._spent_ms()
        return True

    def answered(self, finish: Finish) -> RecordedAnswer:
        """Return the recording of an answer."""
        return self._recorded(
            text="".join(self._text),
            finish_reason=finish.finish_reason,
            input_tokens=finish.input_tokens,
            output_tokens=finish.output_tokens,
        )

    def failed(self, code: str, why: str) -> RecordedAnswer:
        """Return the recording of a failure."""
        return self._recorded(text="".join(self._text), error_code=code, error=why)

    def _recorded(
        self,
        *,
        text: str,
        finish_reason: str = "",
        input_tokens: int = 0,
        output_tokens: int = 0,
        error_code: str | None = None,
        error: str = "",
    ) -> RecordedAnswer:
        self.ended = True
        return RecordedAnswer(
            ask_id=self._ask_id,
            model=self._model,
            text=text,
            finish_reason=finish_reason,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            ttft_ms=self.ttft_ms,
            latency_ms=max(self.ttft_ms, self._spent_ms()),
            error_code=error_code,
            error=error,
            at=datetime.now(UTC),
        )

    def _spent_ms(self) -> float:
        return round((monotonic() - self._began) * 1000.0, 3)


def text_id_of(model: str, text: str) -> str:
    """Return the key of a text's vector."""
    return hashlib.sha256(f"vector\0{model}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()


def ask_id_of(model: str, ask: Ask) -> str:
    """Return the key of an ask: 256 bits over the model and everything it is given."""
    said: Mapping[str, object] = {
        "model": model,
        "request_id": ask.request_id,
        "system": ask.system,
        "user": ask.user,
        "query": ask.query,
        "chunks": [(chunk.chunk_id, chunk.title, chunk.text, chunk.relevance) for chunk in ask.chunks],
        "max_tokens": ask.max_tokens,
        "temperature": ask.temperature,
    }
    return hashlib.sha256(repr(said).encode("utf-8", "surrogatepass")).hexdigest()
