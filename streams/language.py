"""What analyse asks of the outside, and what it gets."""

from typing import Protocol

from schemas.records import Analysis, Origin


class Analyst(Protocol):
    """Texts to sentences, tokens, lemmas and names."""

    async def analyse(self, origin: Origin, text: str) -> Analysis:
        """Return the analysis of a text; equal texts are analysed once.

        Raises:
            ProviderUnavailable: a model failed.
        """
