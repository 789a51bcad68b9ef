"""One sentence, spoken by the best engine that can."""

from collections.abc import Callable, Sequence

from agents.synthesize import rules
from schemas.records import Outcome, SpeechRequest
from streams.circuit import Gate, outcome
from streams.errors import ProviderRefused, SpeechUnavailable
from streams.ports import Clock
from streams.speech import SpeechEngine, Spoken
from streams.topic import request_key


class Ladder:
    """The engines, first choice first; the last rung is the text itself."""

    def __init__(self, engines: Sequence[SpeechEngine], gate: Gate, clock: Clock) -> None:
        self._engines = engines
        self._gate = gate
        self._clock = clock

    async def speak(
        self, text: str, request: SpeechRequest, report: Callable[[Outcome], None]
    ) -> tuple[Spoken | None, str, Sequence[str]]:
        """Return the speech, who spoke, and why no better rung did. Calls are reported when they end; for no words there are none."""
        request_id = request.origin.request_id
        missed: list[str] = []
        for engine in self._engines if text else ():
            started = self._clock.now()
            name = rules.dependency(engine.name)
            if not self._gate.lets_through(name, started, request_key(request.origin)):
                missed.append(f"{engine.name}: circuit_open")
                continue
            try:
                spoken = await engine.speak(text, voice=request.voice)
            except (SpeechUnavailable, ProviderRefused) as error:
                missed.append(f"{engine.name}: {error.code}")
                report(outcome(name, started=started, ended=self._clock.now(), request_id=request_id, error=error))
                continue
            report(outcome(name, started=started, ended=self._clock.now(), request_id=request_id))
            return spoken, engine.name, missed
        return None, rules.TEXT, missed
