"""Says the question again, word by word. For tests of everything around a model."""

from collections.abc import AsyncIterator

from streams.clients.models.tokens import WordTokenizer, readable
from streams.ports import Ask, Finish, ModelSpec, Piece, Tokenizer

WORDS = WordTokenizer()


class Echo:
    """A `Model` that is instant and cannot fail."""

    def __init__(self, name: str = "echo") -> None:
        self.spec = ModelSpec(name=name, provider="echo", context_tokens=1_000_000, tier="local", repeatable=True)
        self.tokenizer: Tokenizer = WORDS

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def stream(self, ask: Ask) -> AsyncIterator[Piece | Finish]:
        """Yield the words of the query, then `Finish`; never fails."""
        whole = readable(ask.query).strip() or "(nothing)"
        answer = WORDS.cut(whole, ask.max_tokens)
        for number, word in enumerate(answer.split(" ")):
            yield Piece(text=f" {word}" if number else word)
        yield Finish(
            finish_reason="stop" if answer == whole else "length",
            input_tokens=max(1, WORDS.count(ask.system) + WORDS.count(ask.user)),
            output_tokens=max(1, WORDS.count(answer)),
        )
