"""A model behind a network: what Anthropic, OpenAI and Ollama have in common. Each protocol is a `Wire`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

from streams.clients.models.complaints import Complaint, about_key, failure
from streams.clients.models.keys import Account, Key, Keys
from streams.clients.models.tokens import CautiousTokenizer, readable
from streams.errors import PipelineError, ProviderBusy, ProviderUnavailable
from streams.ports import Ask, Finish, ModelSpec, Piece, Tokenizer
from streams.settings import RouteSettings

NOTHING = "(nothing)"  # no provider takes an empty question
Events = AsyncGenerator[Piece | Finish, None]


class Said(Exception):
    """A complaint on its way from the wire."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint.text)
        self.complaint = complaint


class Wire(Protocol):
    """One protocol of a provider."""

    def events(self, ask: Ask, key: Key) -> Events:
        """Yield pieces and at most one `Finish`, which is last. Closing it closes the connection.

        Raises:
            Said: with what went wrong, whatever it was.
        """

    async def close(self) -> None:
        """Close the connections; safe to call twice."""


class Remote:
    """A `Model` behind a network. It does not retry; it only goes on to the next key."""

    def __init__(self, spec: ModelSpec, wire: Wire, keys: Keys, settings: RouteSettings) -> None:
        self.spec = spec
        self.tokenizer: Tokenizer = CautiousTokenizer()
        self._wire = wire
        self._keys = keys
        self._settings = settings
        self._turns = asyncio.Semaphore(settings.connections)  # waiting for a turn is not the provider's slowness
        self._closed = False

    async def start(self) -> None:
        """Nothing to load: connections are made by the first calls, so that a provider may be down at the start."""

    async def close(self) -> None:
        """Close the connections; answers under way end as if the provider had gone away."""
        self._closed = True
        await self._wire.close()

    def accounts(self) -> Sequence[Account]:
        """Return what every key of the provider has done, for all its models together."""
        return self._keys.accounts()

    async def stream(self, ask: Ask) -> Events:
        """Yield pieces as they come, then one `Finish`; cancelling closes the connection.

        Raises:
            ProviderBusy: no turn came within `queue_s` of the ask.
            ProviderUnavailable: it did not answer, not in time, not to the end, or is over its limit.
            ProviderRefused: it will not answer this.
        """
        async with self._turn(ask):
            tried: set[Key] = set()
            while True:
                if self._closed:
                    raise ProviderUnavailable(f"{self.spec.name} was shut down")
                key = self._keys.take(tried)
                begun, complaint = False, None
                async with aclosing(self._answer(ask, key)) as events:
                    try:
                        async for event in events:
                            begun = True
                            yield event
                    except Said as said:
                        complaint = said.complaint
                if complaint is None:
                    return
                error = self._failed(key, complaint)
                tried.add(key)
                if begun or about_key(complaint) is None or len(tried) == len(self._keys.all()):
                    raise error  # outside of `except`: the exception of a library may hold the key

    @asynccontextmanager
    async def _turn(self, ask: Ask) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(ask.queue_s):
                await self._turns.acquire()
        except TimeoutError:
            raise ProviderBusy(f"{self.spec.name} has {self._settings.connections} calls under way") from None
        try:
            yield
        finally:
            self._turns.release()

    async def _answer(self, ask: Ask, key: Key) -> Events:
        """Yield one call's events, none later than the settings allow. Raises Said."""
        time, settings = asyncio.get_running_loop().time, self._settings
        ends, patience_s = time() + settings.answer_s, settings.first_token_s
        async with aclosing(self._wire.events(ask, key)) as events:
            while True:
                try:
                    async with asyncio.timeout_at(min(time() + patience_s, ends)):
                        event = await anext(events, None)
                except TimeoutError:
                    raise Said(Complaint(text=_silence(time() >= ends, patience_s, settings))) from None
                if event is None:
                    raise Said(Complaint(text="stopped before the end of its answer"))
                if isinstance(event, Finish):
                    self._keys.succeeded(key, event)
                    yield event
                    return
                yield event
                patience_s = settings.stall_s

    def _failed(self, key: Key, complaint: Complaint) -> PipelineError:
        error = failure(self.spec.name, _clean(complaint, self._keys))
        self._keys.failed(key, error.code, about_key(complaint), complaint.retry_after_s)
        return error


def chat(ask: Ask) -> tuple[str, str]:
    """Return what is sent as system and user."""
    return readable(ask.system), readable(ask.user) if ask.user.strip() else NOTHING


def estimated(*texts: str) -> int:
    """Return about how many tokens the texts have together, for providers that do not count."""
    return CautiousTokenizer().count("".join(texts))


def _silence(whole: bool, patience_s: float, settings: RouteSettings) -> str:  # noqa: FBT001 - one caller, above
    return f"did not end within {settings.answer_s:g} s" if whole else f"wrote nothing for {patience_s:g} s"


def _clean(complaint: Complaint, keys: Keys) -> Complaint:
    text = " ".join(keys.scrubbed(readable(complaint.text)).split())
    return Complaint(text=text, status=complaint.status, kinds=complaint.kinds, headers=complaint.headers)
