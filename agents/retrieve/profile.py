"""Who asks, as far as somebody knows."""

from collections.abc import Callable

from schemas.records import Origin, Outcome
from streams.circuit import PROFILES, Gate, outcome
from streams.errors import ProfileUnavailable
from streams.ports import Clock, Profiles
from streams.screen.screening import Screen
from streams.topic import request_key


class Who:
    """Looks profiles up, unless the circuit keeps it back. One that gives orders to the model is none."""

    def __init__(self, profiles: Profiles | None, screen: Screen, gate: Gate, clock: Clock) -> None:
        self._profiles = profiles
        self._screen = screen
        self._gate = gate
        self._clock = clock

    async def asks(self, origin: Origin, report: Callable[[Outcome], None]) -> str | None:
        """Return the profile of who asks, empty when there is none, None when it could not be had."""
        if self._profiles is None:
            return ""
        profile = await self._profiles.known(origin)
        if profile is None:
            profile = await self._looked_up(self._profiles, origin, report)
        if profile and self._screen.refuses(await self._screen.look(profile)):
            return None
        return profile

    async def _looked_up(self, profiles: Profiles, origin: Origin, report: Callable[[Outcome], None]) -> str | None:
        started = self._clock.now()
        if not self._gate.lets_through(PROFILES, started, request_key(origin)):
            return None
        try:
            profile = await profiles.of(origin)
        except ProfileUnavailable as error:
            report(
                outcome(PROFILES, started=started, ended=self._clock.now(), request_id=origin.request_id, error=error)
            )
            return None
        report(outcome(PROFILES, started=started, ended=self._clock.now(), request_id=origin.request_id))
        return profile
