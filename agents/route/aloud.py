"""The beginning of an answer, spoken while the rest of it is still being written."""

from collections.abc import Callable

from schemas.records import Prompt, SpeechRequest
from streams.breaths import begun
from streams.canary import certain, gives_away
from streams.settings import SynthesizeSettings
from streams.speech import turn


class Aloud:
    """Has the first breath of one answer spoken, once: what replaces the answer it belongs to is spoken after it.

    Never of a strict request, of which nothing may be shown that is not good as a whole, and never beside the canary.
    """

    def __init__(self, prompt: Prompt, send: Callable[[SpeechRequest], None], settings: SynthesizeSettings) -> None:
        self.begun = ""
        self._prompt = prompt
        self._send = send
        self._settings = settings
        self._wanted = prompt.request.speak and not prompt.request.strict
        self._epoch = 0
        self._written = ""

    def hear(self, epoch: int, text: str) -> None:
        """Take what the model has just written; another epoch is another answer."""
        if not self._wanted or self.begun:
            return
        self._written = text if epoch != self._epoch else self._written + text
        self._epoch = epoch
        found = begun(self._written, first_chars=self._settings.first_chars, max_chars=self._settings.max_chars)
        if found and not self._gives_away(found):
            self.begun = found
            origin = self._prompt.origin
            self._send(SpeechRequest(origin=origin, text=found, turn=turn(origin), ends=False))

    def _gives_away(self, found: str) -> bool:
        """Whether the canary is there, or what may become it."""
        canary = self._prompt.canary
        return gives_away(self._written, canary) or len(found) > certain(self._written, canary)
