"""OpenAI's chat completions: server-sent events without names, `[DONE]` at the end."""

import json
from collections.abc import Iterator, Mapping

from tests.loopback.faults import Fault
from tests.loopback.serving import Body, Loopback, Reply, status_of

BROKEN: Mapping[Fault, bytes] = {
    Fault.MALFORMED: b'data: {"id":"chatcmpl-1","choices":[{"delta":{"con\n\n',
    Fault.MISSHAPEN: b'data: {"id":"chatcmpl-1","choices":[7]}\n\n',
    Fault.NESTED: b"data: " + b"[" * 100_000 + b"\n\n",
    Fault.NOT_UTF8: b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n',
}
CODES: Mapping[Fault, tuple[str, str]] = {
    Fault.OUT_OF_CREDIT: ("insufficient_quota", "insufficient_quota"),
    Fault.TOO_LONG: ("invalid_request_error", "context_length_exceeded"),
    Fault.POLICY: ("invalid_request_error", "content_policy_violation"),
    Fault.UNAUTHORIZED: ("invalid_request_error", "invalid_api_key"),
    Fault.RATE_LIMITED: ("requests", "rate_limit_exceeded"),
    Fault.NOT_FOUND: ("invalid_request_error", "model_not_found"),
}


def event(content: object) -> bytes:
    """Return one event as it goes over the wire."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n".encode()


def chunk(delta: Mapping[str, object], finish: str | None = None) -> bytes:
    """Return a chunk with one choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return event({**HEAD, "choices": [choice], "usage": None})


HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "loopback"}


class OpenAiLoopback(Loopback):
    """`POST /v1/chat/completions` with `stream: true`."""

    path = "/v1/chat/completions"
    content_type = "text/event-stream; charset=utf-8"
    limit = "max_completion_tokens"

    def question(self, body: Body) -> tuple[str, str, int]:
        said = {message["role"]: message["content"] for message in body["messages"]}
        if not body.get("stream") or "tools" in body or body.get("stream_options") != {"include_usage": True}:
            self.problems.append(f"not a plain streamed chat: {body}")
        return said.get("system", ""), said["user"], body[self.limit]

    def opening(self, reply: Reply, *, counted: bool) -> Iterator[bytes]:
        yield chunk({"role": "assistant", "content": "", "refusal": None})

    def piece(self, text: str) -> bytes:
        return chunk({"content": text})

    def closing(self, reply: Reply, *, counted: bool) -> Iterator[bytes]:
        yield chunk({}, reply.finish)
        if counted:
            usage = {
                "prompt_tokens": reply.input_tokens,
                "completion_tokens": reply.output_tokens,
                "total_tokens": reply.input_tokens + reply.output_tokens,
            }
            yield event({**HEAD, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    def refusing(self) -> Iterator[bytes]:
        yield chunk({}, "content_filter")
        yield b"data: [DONE]\n\n"

    def broken(self, fault: Fault) -> bytes:
        if fault is Fault.ERROR_IN_STREAM:
            return event({"error": {"message": "The server had an error", "type": "server_error", "code": None}})
        return BROKEN[fault]

    def ping(self) -> bytes:
        return b": keep-alive\n\n"

    def error(self, fault: Fault, text: str) -> tuple[int, Body]:
        kind, code = CODES.get(fault, ("server_error", None))
        return status_of(fault), {"error": {"message": text, "type": kind, "param": None, "code": code}}


class CompatibleLoopback(OpenAiLoopback):
    """A server such as vLLM: the older name of the limit, and plain words in place of codes."""

    limit = "max_tokens"

    def error(self, fault: Fault, text: str) -> tuple[int, Body]:
        if fault is Fault.OUT_OF_CREDIT:
            return 402, {"error": {"message": "buy more", "code": 402}}
        return status_of(fault), {
            "object": "error",
            "message": text,
            "type": "BadRequestError",
            "code": status_of(fault),
        }
