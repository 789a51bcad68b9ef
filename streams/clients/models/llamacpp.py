"""Models in GGUF files, run in this process by llama.cpp (`xllamacpp`)."""

import asyncio
import secrets
import threading
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import xllamacpp

from streams.clients.models.gguf import GgufTokenizer
from streams.clients.models.gguf_int8 import converted
from streams.clients.models.tokens import readable
from streams.errors import ContextOverflow, ModelMissing, PipelineError, ProviderRefused, ProviderUnavailable
from streams.ports import Ask, Finish, ModelSpec, Piece, Tokenizer
from streams.settings import RouteSettings

Chunk = Mapping[str, Any]
BAD_REQUEST = range(400, 500)


class LlamaCpp:
    """A `Model` with `parallel` slots, each a thread: an ask holds one until the model has really stopped.

    A slot keeps the opening of its last ask read (docs/decisions/0054), and nothing else of any.
    With a `cache_dir` its matrices are held in 8 bits, see `gguf_int8`.
    """

    def __init__(
        self, name: str, path: Path, settings: RouteSettings, cache_dir: Path | None = None, opening: str = ""
    ) -> None:
        self.spec = ModelSpec(name=name, provider="llamacpp", context_tokens=settings.context_tokens, tier="local")
        self._tokens = GgufTokenizer(path)
        self.tokenizer: Tokenizer = self._tokens
        self._path = path
        self._cache_dir = cache_dir
        self._opening = opening or "Hello"
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.parallel, thread_name_prefix=f"llamacpp-{name}")
        self._free = asyncio.Semaphore(settings.parallel)
        self._slots = list(range(settings.parallel))
        self._kept = [""] * settings.parallel  # the opening that a slot has read, and nothing after it
        self._tidying: set[asyncio.Future[None]] = set()
        self._loading = asyncio.Lock()
        self._server: Any = None
        self._stops: set[threading.Event] = set()
        self._closed = False

    async def start(self) -> None:
        """Load the model and read the opening, so that the first answer is fast. Raises ModelMissing."""
        async with self._loading:
            if self._closed:
                raise ProviderUnavailable(f"{self.spec.name} was shut down")
            if self._server is None:
                await asyncio.get_running_loop().run_in_executor(self._threads, self._load)

    async def close(self) -> None:
        """Stop every answer under way and give the memory back."""
        self._closed = True
        for stop in self._stops:
            stop.set()
        async with self._loading:
            await asyncio.to_thread(self._threads.shutdown)
            await asyncio.to_thread(self._drop)

    async def stream(self, ask: Ask) -> AsyncIterator[Piece | Finish]:
        """Yield pieces as the model writes them, then one `Finish`; cancelling stops the model at its next token.

        Raises:
            ProviderUnavailable: the model failed or was shut down.
            ContextOverflow: prompt and template are longer than the context window.
        """
        await self.start()
        while self._tidying:  # would share passes with this ask, and what shares them may differ in the last bit
            await asyncio.wait(self._tidying)
        await self._free.acquire()
        slot = self._slot(ask.opening)
        stop = threading.Event()
        chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()  # never holds more than the answer, so at most max_tokens
        call = asyncio.get_running_loop().run_in_executor(
            self._threads, self._write, slot, ask, stop, asyncio.get_running_loop(), chunks
        )
        self._stops.add(stop)
        call.add_done_callback(lambda ended: self._ended(ended, slot, ask.opening, stop, chunks))
        try:
            finish: Finish | None = None
            while (chunk := await chunks.get()) is not None:
                finish = _finish(chunk, finish)
                if text := _text(chunk):
                    yield Piece(text=text)
            if call.exception() is not None or finish is None or finish.input_tokens == 0:
                raise ProviderUnavailable(
                    f"{self.spec.name} stopped before the end of its answer"
                ) from call.exception()
            yield finish
        finally:
            stop.set()

    def _ended(
        self,
        call: "asyncio.Future[None]",
        slot: int,
        opening: str,
        stop: threading.Event,
        chunks: "asyncio.Queue[Chunk | None]",
    ) -> None:
        self._stops.discard(stop)
        if not call.cancelled():
            call.exception()  # seen here, raised by `stream` if somebody still listens
        chunks.put_nowait(None)
        if not opening or self._closed:
            self._release(slot)
            return
        tidy = asyncio.get_running_loop().run_in_executor(self._threads, self._keep, slot, opening)
        self._tidying.add(tidy)
        tidy.add_done_callback(lambda ended: self._tidied(ended, slot))

    def _tidied(self, tidy: "asyncio.Future[None]", slot: int) -> None:
        self._tidying.discard(tidy)
        if not tidy.cancelled():
            tidy.exception()  # the next ask of this slot tries again, and says so if it fails
        self._release(slot)

    def _slot(self, opening: str) -> int:
        """Take a free slot, one that has read the opening if there is one."""
        slot = next((slot for slot in self._slots if self._kept[slot] == opening), self._slots[0])
        self._slots.remove(slot)
        return slot

    def _release(self, slot: int) -> None:
        self._slots.append(slot)
        self._free.release()

    def _request(self, ask: Ask, slot: int) -> Mapping[str, object]:
        return {
            "messages": self._messages(ask.system, ask.user),
            "max_tokens": ask.max_tokens,
            "temperature": ask.temperature,
            "seed": zlib.crc32(ask.request_id.encode("utf-8", "replace")),  # a replay samples the same answer
            "id_slot": slot,
            "cache_prompt": bool(ask.opening),  # nothing else that an earlier ask left behind may change this answer
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"grammar": _grammar(ask.choices)} if ask.choices else {}),
        }

    def _messages(self, system: str, user: str) -> Sequence[Mapping[str, str]]:
        return [
            {"role": role, "content": self._tokens.as_text(readable(text))}
            for role, text in (("system", system), ("user", user))
        ]

    # What follows runs in a thread.

    def _write(
        self,
        slot: int,
        ask: Ask,
        stop: threading.Event,
        loop: asyncio.AbstractEventLoop,
        chunks: "asyncio.Queue[Chunk | None]",
    ) -> None:
        def written(chunk: Chunk) -> bool:
            if stop.is_set():
                return True  # ends the task of llama.cpp and frees its slot
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            except RuntimeError:  # the loop is closed: nobody listens
                return True
            return False

        if self._kept[slot] != ask.opening:
            self._keep(slot, ask.opening)
        self._server.handle_chat_completions(self._request(ask, slot), written)

    def _keep(self, slot: int, opening: str) -> None:
        """Leave a slot with an opening as it was read when the slot had read nothing, so that all its asks find the same."""
        begun = self._kept[slot] == opening
        self._kept[slot] = ""
        if not opening:
            return
        reading = {
            "messages": self._messages(opening, ""),
            "add_generation_prompt": False,
            "max_tokens": 0,
            "id_slot": slot,
            "cache_prompt": begun,
        }
        self._server.handle_chat_completions(reading, lambda _: False)
        self._kept[slot] = opening

    def _load(self) -> None:
        self._tokens.load()
        settings, params = self._settings, xllamacpp.CommonParams()
        params.model.path = str(converted(self._path, self._cache_dir) if self._cache_dir else self._path)
        params.n_ctx = settings.context_tokens * settings.parallel
        params.n_parallel = settings.parallel
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
        params.cache_ram_mib = 0  # no prompts of earlier asks are kept
        params.verbosity = -1
        # The library opens a port on loopback that cannot be turned off; nobody knows its key.
        params.api_keys = [secrets.token_urlsafe(32)]
        params.n_threads_http = 1
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ModelMissing(f"llama.cpp cannot load {self._path}; is it a whole GGUF file?") from error
        # Also needed for a clean end: a server that is dropped before its loop has run once waits for itself for ever.
        for slot in self._slots:
            self._keep(slot, self._opening)

    def _drop(self) -> None:
        self._server = None


def _grammar(choices: Sequence[str]) -> str:
    """Return the grammar (GBNF) of a reply that is one of the choices, whatever characters these have."""
    literals = ('"' + "".join(f"\\U{ord(letter):08X}" for letter in choice) + '"' for choice in choices)
    return f"root ::= {' | '.join(literals)}"


def _text(chunk: Chunk) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))


def _finish(chunk: Chunk, so_far: Finish | None) -> Finish | None:
    """The end of the answer as far as known: the reason comes first, the counts after it."""
    if "error" in chunk:
        raise _error(chunk["error"])
    for choice in chunk.get("choices", ()):
        if choice["finish_reason"] is not None:
            return Finish(finish_reason=choice["finish_reason"], input_tokens=0, output_tokens=0)
    if so_far is not None and (usage := chunk.get("usage")):
        return Finish(
            finish_reason=so_far.finish_reason,
            input_tokens=usage["prompt_tokens"],
            output_tokens=usage["completion_tokens"],
        )
    return so_far


def _error(error: Mapping[str, Any]) -> PipelineError:
    message = f"llama.cpp: {error.get('message', 'no message')}"
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflow(message)
    return ProviderRefused(message) if error.get("code") in BAD_REQUEST else ProviderUnavailable(message)
