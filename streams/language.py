"""What analyse asks of the outside, and what it gets."""

from collections.abc import Sequence
from typing import Protocol

from schemas.records import Analysis, Origin


class Analyst(Protocol):
    """Texts to sentences, tokens, lemmas and names."""

    async def analyse(self, origin: Origin, text: str, *, operations: Sequence[str] | None = None) -> Analysis:
        """Return the analysis of a text by these operations, else by those of the settings; equal texts are analysed once.

        Raises:
            ProviderUnavailable: a model failed.
        """
