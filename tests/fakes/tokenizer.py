"""Tokens that can be counted by hand."""


class WordsTokenizer:
    """A `Tokenizer` whose tokens are what white space separates."""

    name = "white-space"

    def count(self, text: str) -> int:
        return len(text.split())
