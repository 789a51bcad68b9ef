"""Answers with sentences of the context; needs no model, invents nothing, says so when there is no answer."""

from collections.abc import AsyncIterator

from streams.clients.models import sentences
from streams.clients.models.tokens import WordTokenizer, readable
from streams.ports import Ask, Finish, ModelSpec, Piece, Tokenizer

WORDS = WordTokenizer()
NO_ANSWER = "The context does not contain an answer to this question."
SENTENCES = 3
ENOUGH = 0.4  # share of the question, words weighted by rarity, that the chosen sentences must cover
CONTEXT_TOKENS = 1_000_000  # it reads everything it is given


class Extractive:
    """A `Model` without a model: the same ask always has the same answer."""

    def __init__(self, name: str = "extractive") -> None:
        self.spec = ModelSpec(
            name=name, provider="extractive", context_tokens=CONTEXT_TOKENS, tier="local", repeatable=True
        )
        self.tokenizer: Tokenizer = WORDS

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def stream(self, ask: Ask) -> AsyncIterator[Piece | Finish]:
        """Yield a sentence at a time, then `Finish`; never fails."""
        best = sentences.best(ask.query, ask.chunks, at_most=SENTENCES)
        whole = readable(" ".join(best.sentences)) if best.coverage >= ENOUGH else NO_ANSWER
        answer = WORDS.cut(whole, ask.max_tokens)
        for number, piece in enumerate(answer.split(" ")):
            yield Piece(text=f" {piece}" if number else piece)
        yield Finish(
            finish_reason="stop" if answer == whole else "length",
            input_tokens=max(1, WORDS.count(ask.system) + WORDS.count(ask.user)),
            output_tokens=WORDS.count(answer),
        )
