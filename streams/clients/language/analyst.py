"""The `Analyst` of a worker: operations in order, in a thread, remembered by content."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from schemas.records import Analysis, Origin
from streams.clients.language.operations import UNKNOWN, Draft, Reader, operations
from streams.clients.language.readers import ENGLISH, Dictionaries, Spacy
from streams.errors import ModelMissing, PipelineError, ProviderUnavailable, SettingsInvalid
from streams.settings import AnalyseSettings

Identify = Callable[[str], str]


class LocalAnalyst:
    """Analyses with what is installed."""

    def __init__(self, settings: AnalyseSettings, *, english: Spacy | None, identify: Identify) -> None:
        self._names = tuple(name.strip() for name in settings.operations.split(",") if name.strip())
        unknown = [name for name in self._names if name not in operations()]
        if unknown:
            known = ", ".join(operations())
            raise SettingsInvalid(
                [f"FORGESTREAM_ANALYSE_OPERATIONS: {', '.join(unknown)} is unknown; there are {known}"]
            )
        self._settings = settings
        self._english = english
        self._others: Reader = Dictionaries()
        self._identify = identify
        self._remembered: OrderedDict[bytes, Analysis] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="analyse")

    async def start(self) -> None:
        """Load the models. Raises ModelMissing."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    async def close(self) -> None:
        """Wait for the text under way."""
        await asyncio.to_thread(partial(self._thread.shutdown, cancel_futures=True))

    async def analyse(self, origin: Origin, text: str) -> Analysis:
        """Return the analysis of a text. Raises ProviderUnavailable."""
        readable = text[: self._settings.max_chars].encode("utf-8", "replace").decode()
        digest = hashlib.blake2b(readable.encode(), digest_size=16).digest()
        known = self._remembered.get(digest)
        if known is not None:
            self._remembered.move_to_end(digest)
            return replace(known, origin=origin)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._analysed, origin, readable)
        except PipelineError:
            raise
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ProviderUnavailable(
                f"a text of {len(readable):,} characters could not be analysed: {error}"
            ) from error
        if self._settings.cache_size:
            self._remembered[digest] = found
            while len(self._remembered) > self._settings.cache_size:
                self._remembered.popitem(last=False)
        return found

    def _load(self) -> None:
        self._identify("Ready.")
        if self._english is not None:
            try:
                self._english.load()
            except ImportError as error:
                raise ModelMissing("spaCy is not installed; install the extra `language`") from error

    def _analysed(self, origin: Origin, text: str) -> Analysis:
        draft = Draft(text, self._identify, self._reader)
        for name in self._names:
            operations()[name](draft)
        return Analysis(
            origin=origin,
            language=draft.language,
            sentences=tuple(draft.sentences),
            tokens=tuple(draft.tokens),
            entities=tuple(draft.entities),
            model=draft.model,
            operations=self._names,
            findings=tuple(draft.findings),
        )

    def _reader(self, language: str) -> Reader:
        english = language in {ENGLISH, UNKNOWN}
        return self._english if english and self._english is not None else self._others
