"""OpenAI's chat completions by its own SDK: OpenAI itself, and every server that speaks the same."""

import zlib
from collections.abc import Mapping

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from streams.clients.models.complaints import Complaint
from streams.clients.models.connection import http_client, timeout
from streams.clients.models.keys import Key, Keys
from streams.clients.models.remote import Events, Said, chat, estimated
from streams.clients.models.sdk import DAMAGED, LOST, complaint_of, damaged, lost
from streams.ports import Ask, Finish, ModelSpec, Piece
from streams.settings import RouteSettings

NO_KEY = "none"  # the SDK will not send nothing; servers that need no key ignore it


class OpenAiWire:
    """A `Wire`. One SDK client for each key, all on the same connections.

    `compatible` servers get the older name of the token limit, which all of them know.
    """

    def __init__(
        self,
        spec: ModelSpec,
        url: str,
        keys: Keys,
        parameters: Mapping[str, object],
        settings: RouteSettings,
        *,
        compatible: bool,
    ) -> None:
        self._spec = spec
        self._parameters = parameters
        self._limit = "max_tokens" if compatible else "max_completion_tokens"
        self._http = http_client(settings)
        self._clients = {key.number: self._client(key, url, settings) for key in keys.all()}

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def events(self, ask: Ask, key: Key) -> Events:
        """Yield what the model writes, then `Finish`. Raises Said."""
        reading = _Reading(ask)
        try:
            stream = await self._clients[key.number].chat.completions.create(
                model=self._spec.id or self._spec.name,
                messages=_messages(ask),
                stream=True,
                stream_options={"include_usage": True},
                extra_body=self._body(ask),
            )
            async with stream:
                async for chunk in stream:
                    if text := reading.text_of(chunk):
                        yield Piece(text=text)
                if reading.reason is not None:
                    yield reading.finish()
        except openai.OpenAIError as error:
            raise Said(complaint_of(error)) from None
        except LOST as error:
            raise Said(lost(error)) from None
        except DAMAGED as error:
            raise Said(damaged(error)) from None

    def _client(self, key: Key, url: str, settings: RouteSettings) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(
            api_key=key.secret or NO_KEY,
            base_url=url,
            max_retries=0,
            timeout=timeout(settings),
            http_client=self._http,
        )
        client.organization = client.project = None  # the SDK takes them from the shell, for whatever server
        return client

    def _body(self, ask: Ask) -> dict[str, object]:
        capabilities, body = self._spec.capabilities, {self._limit: ask.max_tokens}
        chosen: dict[str, object] = {}
        if "temperature" in capabilities:
            chosen["temperature"] = ask.temperature
        if "seed" in capabilities:
            chosen["seed"] = zlib.crc32(ask.request_id.encode("utf-8", "replace"))  # a replay samples the same answer
        return {**body, **chosen, **self._parameters}


class _Reading:
    """What the chunks of one answer add up to."""

    def __init__(self, ask: Ask) -> None:
        self.reason: str | None = None
        self._ask = ask
        self._written: list[str] = []
        self._usage: tuple[int, int] | None = None

    def text_of(self, chunk: ChatCompletionChunk) -> str:
        """Return the text of a chunk, and note the rest. Raises Said when the model or its filter refuses."""
        if chunk.usage is not None:
            self._usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        if choice.finish_reason == "content_filter" or choice.delta.refusal:
            text = choice.delta.refusal or "the answer was stopped by the content filter"
            raise Said(Complaint(text=text, status=200, kinds=frozenset({"refusal"})))
        if choice.finish_reason is not None:
            self.reason = "length" if choice.finish_reason == "length" else "stop"
        text = choice.delta.content or ""
        self._written.append(text)
        return text

    def finish(self) -> Finish:
        """Return the end. Some compatible servers count nothing: then the tokens are estimated."""
        if self._usage is None:
            self._usage = (estimated(self._ask.system, self._ask.user), estimated(*self._written))
        return Finish(
            finish_reason=self.reason or "stop", input_tokens=int(self._usage[0]), output_tokens=int(self._usage[1])
        )


def _messages(ask: Ask) -> list[ChatCompletionMessageParam]:
    system, user = chat(ask)
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": system}] if system else []
    return [*messages, {"role": "user", "content": user}]
