"""Clips that come in chunks: lost, doubled, out of order, of several clips at a time, never finished.

The first chunk of a clip that is read holds the rest together: its handler waits until the clip is whole and then makes the
transcript, the handlers of all others return at once. So the clip is acknowledged by its first chunk, and a worker that
starts anew reads the whole of it again: the topic itself is where unfinished clips are kept.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from agents.transcribe import rules
from schemas.records import AudioChunk
from streams.emit import Emit
from streams.errors import AudioInvalid
from streams.settings import TranscribeSettings
from streams.topic import request_key

log = logging.getLogger("forgestream.transcribe")

REMEMBERED = 10_000  # ids of clips that have ended, so that a chunk sent twice does not begin them anew
MEBIBYTE = 1024 * 1024
Key = tuple[str, str]


class Clip:
    """The chunks of one clip so far."""

    def __init__(self, settings: TranscribeSettings) -> None:
        self._most_bytes = int(settings.max_clip_mb * MEBIBYTE)
        self._parts: dict[int, bytes] = {}
        self._first: AudioChunk | None = None
        self._length: int | None = None
        self._bytes = 0

    def add(self, chunk: AudioChunk) -> None:
        """Take in a chunk; one that is there already changes nothing.

        Raises:
            AudioInvalid: it contradicts the others, or the clip grows too large.
        """
        rules.check(chunk)
        first = self._first = self._first or chunk
        known = self._parts.get(chunk.sequence)
        if known is not None:
            if known != chunk.content:
                raise AudioInvalid([f"chunk {chunk.sequence} came twice with different content"])
            return
        if (chunk.codec, chunk.sample_rate_hz) != (first.codec, first.sample_rate_hz):
            raise AudioInvalid([f"chunk {chunk.sequence} says {chunk.codec}, others {first.codec}"])
        if chunk.last and self._length not in {None, chunk.sequence + 1}:
            raise AudioInvalid(["two chunks say that they are the last"])
        self._length = chunk.sequence + 1 if chunk.last else self._length
        self._parts[chunk.sequence] = chunk.content
        self._bytes += len(chunk.content)
        if self._length is not None and max(self._parts) >= self._length:
            raise AudioInvalid([f"chunk {max(self._parts)} comes after the last, {self._length - 1}"])
        if self._bytes > self._most_bytes:
            raise AudioInvalid([f"the clip is larger than {self._most_bytes:,} bytes"])

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self._length == len(self._parts)

    @property
    def content(self) -> bytes:
        """The file."""
        return b"".join(content for _, content in sorted(self._parts.items()))

    @property
    def begun(self) -> bool:
        """Whether its first chunk is there: without it nobody has asked for anything."""
        return 0 in self._parts

    def missing(self) -> str:
        """Return what has not come, in words."""
        if self._length is None:
            return f"the last chunk never came; {len(self._parts)} others did"
        absent = [number for number in range(self._length) if number not in self._parts]
        return f"{len(absent)} of {self._length:,} chunks never came, the first of them is {absent[0]}"


class Gathering:
    """A clip, the task of the chunk that holds it together, and the clip before it in the conversation."""

    def __init__(self, clip: Clip, before: "asyncio.Future[None] | None") -> None:
        self.holder = asyncio.current_task()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._clip = clip
        self._before = before
        self._came = asyncio.Event()
        self._error: AudioInvalid | None = None

    def add(self, chunk: AudioChunk) -> None:
        """Take in a chunk; what is wrong with it is the holder's to say."""
        try:
            self._clip.add(chunk)
        except AudioInvalid as error:
            self._error = self._error or error
        self._came.set()

    async def content(self, idle_s: float) -> bytes | None:
        """Return the whole file, once the clip before it in its conversation has ended; None without a beginning.

        Chunks without the first one are what is read again, after a kill, of a clip that had ended before it.

        Raises:
            AudioInvalid: the chunks contradict each other, or one did not come for `idle_s`.
        """
        while not self._clip.whole and self._error is None:
            self._came.clear()
            try:
                async with asyncio.timeout(idle_s):
                    await self._came.wait()
            except TimeoutError:
                if not self._clip.begun:
                    log.warning("chunks of a clip without its first one are left out: %s", self._clip.missing())
                    return None
                raise AudioInvalid([f"the clip was not finished: {self._clip.missing()}"]) from None
        if self._before is not None:
            await asyncio.wait([self._before])
        if self._error is not None:
            raise self._error
        return self._clip.content


class Clips:
    """The clips under way in this worker."""

    def __init__(self, settings: TranscribeSettings) -> None:
        self._settings = settings
        self._gathering: dict[Key, Gathering] = {}
        self._newest: dict[str, asyncio.Future[None]] = {}
        self._ended: OrderedDict[Key, None] = OrderedDict()

    def __len__(self) -> int:
        """Count the clips under way."""
        return len(self._gathering)

    async def content(self, chunk: AudioChunk, emit: Emit) -> bytes | None:
        """Return the whole file to the one chunk that holds it together, None to all others.

        Raises:
            AudioInvalid: there will be no whole file.
        """
        key = (request_key(chunk.origin), chunk.clip_id)
        if key in self._ended:
            return None
        gathering = self._gathering.get(key)
        if gathering is None:
            gathering = self._gathering[key] = Gathering(Clip(self._settings), self._newest.get(key[0]))
            self._newest[key[0]] = gathering.ended
            emit.at_end(self._end(key, gathering))
        gathering.add(chunk)
        if gathering.holder is not asyncio.current_task():
            return None
        return await gathering.content(self._settings.clip_idle_s)

    def _end(self, key: Key, gathering: Gathering) -> Callable[[bool], None]:
        def end(done: bool) -> None:  # noqa: FBT001 - `Emit.at_end` calls it so
            del self._gathering[key]
            gathering.ended.set_result(None)
            if self._newest.get(key[0]) is gathering.ended:
                del self._newest[key[0]]
            if done:  # else its chunks are read again
                self._ended[key] = None
                if len(self._ended) > REMEMBERED:
                    self._ended.popitem(last=False)

        return end
