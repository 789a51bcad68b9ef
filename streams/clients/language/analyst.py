"""The `Analyst` of a worker: a program, whose answers are remembered by content.

spaCy holds the interpreter's lock for milliseconds at a time: on a thread of the worker each of its texts would make every other
stage wait.
"""

import hashlib
import math
import time
from collections.abc import Sequence

import orjson

from schemas.records import Analysis, Entity, Origin, Token
from streams.clients.cache import LruCache
from streams.clients.program import Program
from streams.errors import ModelMissing, ProviderRefused, ProviderUnavailable
from streams.settings import AnalyseSettings

MODULE = "streams.clients.language.analysis_program"
MEBIBYTE = 1024 * 1024


class ProgramAnalyst:
    """Analyses with what is installed.

    Args:
        settings: of the stage.
        operations: those of calls that name none, in order.
        module: the program.
    """

    def __init__(self, settings: AnalyseSettings, operations: Sequence[str], *, module: str = MODULE) -> None:
        self._settings = settings
        self._operations = tuple(operations)
        # as the program has said it: a fifth of what its tokens take as objects
        self._answers = LruCache(
            most_entries=settings.cache_size, most_bytes=int(settings.cache_mb * MEBIBYTE), time=time.monotonic
        )
        self._program = Program(
            "language analysis",
            (module,),
            timeout_s=settings.timeout_s,
            unavailable=ProviderUnavailable,
        )

    async def start(self) -> None:
        """Load the models. Raises ModelMissing."""
        try:
            await self._program.start()
        except ProviderUnavailable as error:
            raise ModelMissing(f"{error.message}; install the locked requirements, or the extra `language`") from error

    async def close(self) -> None:
        """End the program."""
        await self._program.close()

    async def analyse(self, origin: Origin, text: str, *, operations: Sequence[str] | None = None) -> Analysis:
        """Return the analysis of a text. Raises ProviderUnavailable."""
        names = self._operations if operations is None else tuple(operations)
        readable = text[: self._settings.max_chars].encode("utf-8", "replace").decode()
        digest = hashlib.blake2b("\0".join((*names, readable)).encode(), digest_size=16).hexdigest()
        answer = await self._answers.get(digest)
        if answer is None:
            try:
                answer = await self._program.ask({"text": readable, "operations": ",".join(names)})
            except ProviderRefused as error:
                raise ProviderUnavailable(f"a text of {len(readable):,} characters: {error.message}") from error
            await self._answers.put(digest, answer, math.inf)
        return self._analysis(origin, answer, names)

    def _analysis(self, origin: Origin, answer: bytes, names: tuple[str, ...]) -> Analysis:
        read = orjson.loads(answer)
        return Analysis(
            origin=origin,
            language=read["language"],
            sentences=tuple(read["sentences"]),
            tokens=tuple(Token(**token) for token in read["tokens"]),
            entities=tuple(Entity(**entity) for entity in read["entities"]),
            model=read["model"],
            operations=names,
            findings=tuple(read["findings"]),
        )
