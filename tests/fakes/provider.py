"""A model provider and a DataForge on loopback, in threads of their own: they count every call that reaches them."""

import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from streams.errors import ProviderUnavailable
from streams.ports import Ask, Finish, Model, ModelSpec, Piece, Tokenizer
from tests.fakes.model import a_spec
from tests.fakes.tokenizer import WordsTokenizer

ASK = "/ask"
TIMEOUT_S = 30.0


class LoopbackProvider:
    """What was asked, by request id, and posted, by path and id. Answers differ from call to call, as a model's do.

    Requests named in `held` are answered when `release` is set.
    """

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.asked: Counter[str] = Counter()
        self.posted: Counter[tuple[str, str]] = Counter()
        self.held: set[str] = set()
        self.release = threading.Event()
        self._lock = threading.Lock()

    def seen(self, path: str, body: dict[str, Any]) -> list[str]:
        """Count a call; returns the pieces of the answer."""
        with self._lock:
            if path == ASK:
                self.asked[body["request_id"]] += 1
                number = self.asked.total()
            else:
                self.posted[path, body.get("outcome_id") or body.get("inference_id") or body["request_id"]] += 1
                return ["{}"]
        if body["request_id"] in self.held:
            self.release.wait(TIMEOUT_S)
        return ["This ", "is answer ", f"number {number}."]


class HttpModel:
    """A `Model` behind HTTP: each piece of an answer is a line."""

    def __init__(self, url: str, name: str = "remote") -> None:
        self.spec: ModelSpec = a_spec(name)
        self.tokenizer: Tokenizer = WordsTokenizer()
        self._url = url

    async def stream(self, ask: Ask) -> AsyncIterator[Piece | Finish]:
        try:
            async with (
                httpx.AsyncClient(base_url=self._url, trust_env=False, timeout=TIMEOUT_S) as http,
                http.stream("POST", ASK, json={"request_id": ask.request_id}) as answer,
            ):
                async for line in answer.aiter_lines():
                    yield Piece(text=line)
        except httpx.HTTPError as error:
            raise ProviderUnavailable("the provider did not answer") from error
        yield Finish(finish_reason="stop", input_tokens=7, output_tokens=3)


def remote_model(provider: LoopbackProvider) -> Model:
    """Return a model that asks the provider."""
    return HttpModel(provider.url)


@contextmanager
def loopback_provider() -> Iterator[LoopbackProvider]:
    """Serve on a free port of loopback."""
    provider = LoopbackProvider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            lines = provider.seen(self.path, body)
            self.send_response(200 if self.path == ASK else 201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for line in (*lines, ""):
                    content = f"{line}\n".encode() if line else b""
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
                    self.wfile.flush()
            except OSError:  # whoever asked was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """Clients are killed in the middle of a call."""

    server = Server(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    serving.start()
    try:
        yield provider
    finally:
        provider.release.set()
        server.shutdown()
        server.server_close()
        serving.join()
