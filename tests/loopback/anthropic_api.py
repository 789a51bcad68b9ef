"""Anthropic's Messages API: server-sent events, each with its name."""

import json
from collections.abc import Iterator, Mapping

from tests.loopback.faults import Fault
from tests.loopback.serving import Body, Loopback, Reply, status_of

KINDS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
BROKEN: Mapping[Fault, bytes] = {
    Fault.MALFORMED: b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"te\n\n',
    Fault.MISSHAPEN: b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":7}\n\n',
    Fault.NESTED: b"event: content_block_delta\ndata: " + b"[" * 100_000 + b"\n\n",
    Fault.NOT_UTF8: b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"text":"\xff\xfe"}}\n\n',
}


def event(name: str, **fields: object) -> bytes:
    """Return one event as it goes over the wire."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields}, ensure_ascii=False)}\n\n".encode()


class AnthropicLoopback(Loopback):
    """`POST /v1/messages` with `stream: true`."""

    path = "/v1/messages"
    content_type = "text/event-stream; charset=utf-8"

    def question(self, body: Body) -> tuple[str, str, int]:
        if not body.get("stream") or "tools" in body or [m["role"] for m in body["messages"]] != ["user"]:
            self.problems.append(f"not a plain streamed chat: {body}")
        return body.get("system", ""), body["messages"][0]["content"], body["max_tokens"]

    def opening(self, reply: Reply, *, counted: bool) -> Iterator[bytes]:
        cached = reply.input_tokens // 2
        usage = {
            "input_tokens": reply.input_tokens - cached,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": 1,
        }
        message: dict[str, object] = {
            "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "loopback", "stop_reason": None,
            "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        yield event("message_start", message=message)
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        yield self.ping()

    def piece(self, text: str) -> bytes:
        return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def closing(self, reply: Reply, *, counted: bool) -> Iterator[bytes]:
        reason = {"stop": "end_turn", "length": "max_tokens"}[reply.finish]
        yield event("content_block_stop", index=0)
        yield self._end(reason, reply.output_tokens)
        yield event("message_stop")

    def refusing(self) -> Iterator[bytes]:
        yield self._end("refusal", 1)
        yield event("message_stop")

    def broken(self, fault: Fault) -> bytes:
        if fault is Fault.ERROR_IN_STREAM:
            return event("error", error={"type": "overloaded_error", "message": "Overloaded"})
        return BROKEN[fault]

    def ping(self) -> bytes:
        return event("ping")

    def error(self, fault: Fault, text: str) -> tuple[int, Body]:
        status = 400 if fault is Fault.OUT_OF_CREDIT else status_of(fault)
        kind = "billing_error" if fault is Fault.OUT_OF_CREDIT else KINDS.get(status, "api_error")
        return status, {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}

    def _end(self, reason: str, output_tokens: int) -> bytes:
        return event(
            "message_delta",
            delta={"stop_reason": reason, "stop_sequence": None},
            usage={"output_tokens": output_tokens},
        )
