"""Ollama's chat API: one JSON object a line."""

import json
from collections.abc import Iterator, Mapping

from tests.loopback.faults import Fault
from tests.loopback.serving import Body, Loopback, Reply, status_of

BROKEN: Mapping[Fault, bytes] = {
    Fault.MALFORMED: b'{"model":"loopback","message":{"role":"assi\n',
    Fault.MISSHAPEN: b'{"model":"loopback","message":7,"done":false}\n',
    Fault.NESTED: b"[" * 100_000 + b"\n",
    Fault.NOT_UTF8: b'{"model":"loopback","message":{"role":"assistant","content":"\xff\xfe"},"done":false}\n',
}


def line(**fields: object) -> bytes:
    """Return one object as it goes over the wire."""
    head = {"model": "loopback", "created_at": "2026-11-21T08:00:00.000000Z"}
    return f"{json.dumps({**head, **fields}, ensure_ascii=False)}\n".encode()


class OllamaLoopback(Loopback):
    """`POST /api/chat`."""

    path = "/api/chat"
    content_type = "application/x-ndjson"
    has_pings = False

    def question(self, body: Body) -> tuple[str, str, int]:
        said = {message["role"]: message["content"] for message in body["messages"]}
        options = body["options"]
        if not body.get("stream") or "tools" in body or body["truncate"] or not options["num_ctx"]:
            self.problems.append(f"not a plain streamed chat: {body}")
        return said.get("system", ""), said["user"], options["num_predict"]

    def opening(self, reply: Reply, *, counted: bool) -> Iterator[bytes]:
        yield from ()

    def piece(self, text: str) -> bytes:
        return line(message={"role": "assistant", "content": text}, done=False)

    def closing(self, reply: Reply, *, counted: bool) -> Iterator[bytes]:
        counts = {"prompt_eval_count": reply.input_tokens, "eval_count": reply.output_tokens} if counted else {}
        message = {"role": "assistant", "content": ""}
        yield line(message=message, done_reason=reply.finish, done=True, total_duration=1, **counts)

    def refusing(self) -> Iterator[bytes]:
        yield line(error="blocked by the content policy of this server")

    def broken(self, fault: Fault) -> bytes:
        if fault is Fault.ERROR_IN_STREAM:
            return line(error="llama runner process has terminated: signal: killed")
        return BROKEN[fault]

    def ping(self) -> bytes:
        return b"\n"

    def error(self, fault: Fault, text: str) -> tuple[int, Body]:
        return 402 if fault is Fault.OUT_OF_CREDIT else status_of(fault), {"error": text}
