"""Ollama's own chat API: one JSON object a line."""

import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus

import httpx2
import orjson

from streams.clients.models.complaints import Complaint
from streams.clients.models.connection import http_client
from streams.clients.models.keys import Key
from streams.clients.models.remote import Events, Said, chat, estimated
from streams.clients.models.sdk import DAMAGED, LOST, damaged, lost
from streams.ports import Ask, Finish, ModelSpec, Piece
from streams.settings import RouteSettings


class OllamaWire:
    """A `Wire`. The window is always sent: without it Ollama takes 4,096 tokens and cuts what is longer, silently."""

    def __init__(self, spec: ModelSpec, url: str, parameters: Mapping[str, object], settings: RouteSettings) -> None:
        self._spec = spec
        self._url = f"{url.rstrip('/')}/api/chat"
        self._parameters = parameters
        self._http = http_client(settings)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def events(self, ask: Ask, key: Key) -> Events:
        """Yield what the model writes, then `Finish`. Raises Said."""
        headers = {"Authorization": f"Bearer {key.secret}"} if key.secret else {}
        written: list[str] = []
        try:
            async with self._http.stream("POST", self._url, json=self._body(ask), headers=headers) as response:
                if response.status_code != HTTPStatus.OK:
                    raise Said(_refusal(response, await response.aread()))
                async for line in _lines(response):
                    said = orjson.loads(line)
                    if "error" in said:
                        raise Said(Complaint(text=str(said["error"]), status=HTTPStatus.OK))
                    if text := str(said["message"]["content"]):
                        written.append(text)
                        yield Piece(text=text)
                    if said["done"]:
                        yield _finish(said, ask, written)
                        return
        except LOST as error:
            raise Said(lost(error)) from None
        except DAMAGED as error:
            raise Said(damaged(error)) from None

    def _body(self, ask: Ask) -> dict[str, object]:
        system, user = chat(ask)
        messages = [{"role": "system", "content": system}] if system else []
        options = {
            "num_ctx": self._spec.context_tokens,
            "num_predict": ask.max_tokens,
            "temperature": ask.temperature,
            "seed": zlib.crc32(ask.request_id.encode("utf-8", "replace")),  # a replay samples the same answer
        }
        return {
            "model": self._spec.id or self._spec.name,
            "messages": [*messages, {"role": "user", "content": user}],
            "options": options,
            "truncate": False,  # a prompt that is too long is an error, not a shorter prompt
            "shift": False,
            "stream": True,
            **self._parameters,
        }


async def _lines(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yield whole lines. Only a newline ends one: the text of a model may hold every other separator of Unicode."""
    parts: list[bytes] = []
    async for chunk in response.aiter_bytes():
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            complete = b"".join([*parts, line])
            parts.clear()
            if complete.strip():
                yield complete
        parts.append(rest)
    if last := b"".join(parts).strip():
        yield last


def _finish(said: Mapping[str, object], ask: Ask, written: Sequence[str]) -> Finish:
    """Return the end; a prompt that was still in Ollama's memory is not counted there, so it is estimated."""
    tokens_in, tokens_out = (said.get(name) for name in ("prompt_eval_count", "eval_count"))
    return Finish(
        finish_reason="length" if said.get("done_reason") == "length" else "stop",
        input_tokens=tokens_in if isinstance(tokens_in, int) else estimated(ask.system, ask.user),
        output_tokens=tokens_out if isinstance(tokens_out, int) else estimated(*written),
    )


def _refusal(response: httpx2.Response, body: bytes) -> Complaint:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    text = said.get("error") if isinstance(said, dict) else None
    return Complaint(
        text=text if isinstance(text, str) else "no message", status=response.status_code, headers=response.headers
    )
