"""A model that says what a test has written for it."""

import asyncio
from collections.abc import AsyncIterator, Callable

from schemas.records import Domain
from streams.ports import Ask, Finish, ModelSpec, Piece, Tokenizer
from tests.clock import FixedClock
from tests.fakes.tokenizer import WordsTokenizer

HANGS = "hangs"
STOP = Finish(finish_reason="stop", input_tokens=50, output_tokens=2)


def a_spec(
    name: str = "first",
    *,
    usd: float = 0.0,
    context_tokens: int = 2048,
    domains: tuple[Domain, ...] = tuple(Domain),
) -> ModelSpec:
    return ModelSpec(
        name=name,
        provider=f"{name}-provider",
        context_tokens=context_tokens,
        usd_per_million_in=usd,
        usd_per_million_out=usd,
        domains=domains,
    )


class ScriptedModel:
    """A `Model`. Each step is text, seconds that pass on the clock, the end, an error, or `HANGS`."""

    def __init__(
        self, name: str, *script: str | float | Finish | Exception, clock: FixedClock, spec: ModelSpec | None = None
    ) -> None:
        self.spec = spec or a_spec(name)
        self.tokenizer: Tokenizer = WordsTokenizer()
        self.asked: list[Ask] = []
        self.arrived = asyncio.Event()  # somebody has asked
        self.cancelled = False
        self._script: tuple[str | float | Finish | Exception, ...] = script
        self._clock = clock

    def script(self, *steps: str | float | Finish | Exception) -> None:
        """Say something else from now on."""
        self._script = steps

    async def stream(self, ask: Ask) -> AsyncIterator[Piece | Finish]:
        self.asked.append(ask)
        self.arrived.set()
        for step in self._script:
            await self.before(step)
            if step == HANGS:
                await self._hang()
            elif isinstance(step, float):
                self._clock.advance(step)
            elif isinstance(step, str):
                yield Piece(text=step)
            elif isinstance(step, Finish):
                yield step
            else:
                raise step

    async def before(self, step: str | float | Finish | Exception) -> None:
        """Wait, or change the script, before a step."""

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class FlappingModel(ScriptedModel):
    """Says one thing when it is asked first, and another ever after."""

    def __init__(
        self,
        name: str,
        *script: str | float | Finish | Exception,
        then: tuple[str | float | Finish | Exception, ...],
        clock: FixedClock,
    ) -> None:
        super().__init__(name, *script, clock=clock)
        self.on_asked: Callable[[], object] = lambda: None
        self._then = then

    async def before(self, step: str | float | Finish | Exception) -> None:
        self.on_asked()
        self._script = self._then  # of the next stream; the one under way goes through its own


class PausingModel(ScriptedModel):
    """Waits after its first step until it may go on."""

    def __init__(self, name: str, *script: str | float | Finish | Exception, clock: FixedClock) -> None:
        super().__init__(name, *script, clock=clock)
        self.paused = asyncio.Event()
        self.go_on = asyncio.Event()

    async def before(self, step: str | float | Finish | Exception) -> None:
        if step != self._script[0]:
            self.paused.set()
            await self.go_on.wait()
