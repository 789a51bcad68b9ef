"""Anthropic's Messages API by its own SDK."""

from collections.abc import Mapping

import anthropic
from anthropic.types import MessageDeltaUsage, RawMessageStreamEvent, Usage

from streams.clients.models.complaints import Complaint
from streams.clients.models.connection import http_client, timeout
from streams.clients.models.keys import Key, Keys
from streams.clients.models.remote import Events, Said, chat
from streams.clients.models.sdk import DAMAGED, LOST, complaint_of, damaged, lost
from streams.ports import Ask, Finish, ModelSpec, Piece
from streams.settings import RouteSettings

REASONS = {"max_tokens": "length", "model_context_window_exceeded": "length"}
HOTTEST = 1.0  # this API takes temperatures of 0 to 1


class AnthropicWire:
    """A `Wire`. One SDK client for each key, all on the same connections."""

    def __init__(
        self, spec: ModelSpec, url: str, keys: Keys, parameters: Mapping[str, object], settings: RouteSettings
    ) -> None:
        self._spec = spec
        self._parameters = parameters
        self._http = http_client(settings)
        self._clients = {
            key.number: anthropic.AsyncAnthropic(
                api_key=key.secret,
                base_url=url,
                max_retries=0,
                timeout=timeout(settings),
                http_client=self._http,
                open_telemetry=False,
            )
            for key in keys.all()
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def events(self, ask: Ask, key: Key) -> Events:
        """Yield what the model writes, then `Finish`. Raises Said."""
        system, user = chat(ask)
        temperature = {"temperature": min(ask.temperature, HOTTEST)} if "temperature" in self._spec.capabilities else {}
        try:
            stream = await self._clients[key.number].messages.create(
                model=self._spec.id or self._spec.name,
                system=system or anthropic.omit,
                messages=[{"role": "user", "content": user}],
                max_tokens=ask.max_tokens,
                stream=True,
                extra_body={**temperature, **self._parameters},
            )
            async with stream:
                reading = _Reading()
                async for event in stream:
                    if text := reading.text_of(event):
                        yield Piece(text=text)
                if reading.finish is not None:
                    yield reading.finish
        except anthropic.AnthropicError as error:
            raise Said(complaint_of(error)) from None
        except LOST as error:
            raise Said(lost(error)) from None
        except DAMAGED as error:
            raise Said(damaged(error)) from None


class _Reading:
    """What the events of one answer add up to."""

    def __init__(self) -> None:
        self.finish: Finish | None = None
        self._input = 0
        self._output = 0
        self._reason = "stop"

    def text_of(self, event: RawMessageStreamEvent) -> str:
        """Return the text of an event, and note the rest. Raises Said when the model refuses."""
        if event.type == "content_block_delta":
            return event.delta.text if event.delta.type == "text_delta" else ""
        if event.type == "message_start":
            self._count(event.message.usage)
        elif event.type == "message_delta":
            self._count(event.usage)
            if event.delta.stop_reason == "refusal":
                raise Said(Complaint(text="the model refuses to answer", status=200, kinds=frozenset({"refusal"})))
            self._reason = REASONS.get(event.delta.stop_reason or "", "stop")
        elif event.type == "message_stop":
            self.finish = Finish(finish_reason=self._reason, input_tokens=self._input, output_tokens=self._output)
        return ""

    def _count(self, usage: Usage | MessageDeltaUsage) -> None:
        """Take over the counts, which are totals so far; what was read from or written to a cache is input as well."""
        counted = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
        self._input = max(self._input, sum(tokens or 0 for tokens in counted))
        self._output = max(self._output, usage.output_tokens or 0)
