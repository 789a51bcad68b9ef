"""The pack of one request: the current one, else an older one, else none and why."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agents.retrieve import rules
from schemas.records import Origin, Outcome
from streams.circuit import DATAFORGE_PACKS, Gate, outcome
from streams.errors import DataForgeUnavailable, PipelineError, Transient
from streams.packs import Library, Pack
from streams.ports import Clock
from streams.settings import DataForgeSettings
from streams.topic import request_key

Report = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Had:
    """What the upper rungs gave."""

    pack: Pack | None
    degradations: tuple[str, ...] = ()


class PackLadder:
    """The rungs above vector search. Nobody who has an older pack waits for another try to get the newer one."""

    def __init__(self, library: Library | None, gate: Gate, clock: Clock, settings: DataForgeSettings) -> None:
        self._library = library
        self._gate = gate
        self._clock = clock
        self._settings = settings

    async def find(self, pack_id: str, origin: Origin, report: Report) -> Had:
        """Return the pack, or why there is none. Calls are reported when they end."""
        if self._library is None:
            return Had(None, (rules.PACK_UNAVAILABLE,))
        held = await self._library.held(pack_id)
        if held is not None and held.fresh:
            return Had(held.pack)
        got = await self._asked(self._library, pack_id, origin, report, again=held is None)
        if isinstance(got, Pack):
            return Had(got)
        if held is not None:
            return Had(held.pack, (rules.PACK_STALE,))
        return Had(None, (rules.why_without_pack(got),))

    async def _asked(
        self, library: Library, pack_id: str, origin: Origin, report: Report, *, again: bool
    ) -> Pack | PipelineError | None:
        """Ask DataForge, again after transient errors while there is time; the last error, None when nobody was asked."""
        pauses = rules.pauses_s(self._settings) if again else iter(())
        error: PipelineError | None = None
        while self._may_ask(library, origin):
            asked = self._clock.now()
            left_s = rules.patience_s(origin, asked, self._settings)
            try:
                async with asyncio.timeout(left_s):
                    call = await library.call(pack_id)
            except TimeoutError:
                error = DataForgeUnavailable(f"DataForge did not answer within {left_s:.1f} s")
                if left_s >= rules.SILENCE_S and not library.asks(pack_id):  # the last to give a call up reports it
                    report(self._outcome(asked, self._clock.now(), origin, error))
                return error
            if call.own:
                report(self._outcome(call.started, call.ended, origin, call.error))
            if call.pack is not None:
                return call.pack
            error = call.error
            pause_s = next(pauses, None)
            if not isinstance(error, Transient) or pause_s is None:
                break
            pause_s = max(pause_s, error.retry_after_s or 0.0)
            if pause_s >= rules.patience_s(origin, self._clock.now(), self._settings):
                break
            await asyncio.sleep(pause_s)
        return error

    def _outcome(self, started: datetime, ended: datetime, origin: Origin, error: PipelineError | None) -> Outcome:
        return outcome(DATAFORGE_PACKS, started=started, ended=ended, request_id=origin.request_id, error=error)

    def _may_ask(self, library: Library, origin: Origin) -> bool:
        return library.well and self._gate.lets_through(DATAFORGE_PACKS, self._clock.now(), request_key(origin))
