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
from streams.errors import AudioInvalid, AudioOverload, RequestRejected
from streams.settings import TranscribeSettings
from streams.topic import request_key

log = logging.getLogger("forgestream.transcribe")

REMEMBERED = 10_000
MEBIBYTE = 1024 * 1024
MOST_CLIPS = 1_000  # under way and not whole
Key = tuple[str, str]


def room_mb(settings: TranscribeSettings) -> float:
    """Return how much there is room for; the largest clip alone always fits."""
    return max(settings.in_flight_mb, settings.max_clip_mb + 1)


class Clip:
    """The chunks of one clip so far."""

    def __init__(self, settings: TranscribeSettings) -> None:
        self._most_bytes = int(settings.max_clip_mb * MEBIBYTE)
        self._parts: dict[int, bytes] = {}
        self._first: AudioChunk | None = None
        self._length: int | None = None
        self.size = 0

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
        self.size += len(chunk.content)
        if self._length is not None and max(self._parts) >= self._length:
            raise AudioInvalid([f"chunk {max(self._parts)} comes after the last, {self._length - 1}"])
        if self.size > self._most_bytes:
            raise AudioInvalid([f"the clip is larger than {self._most_bytes:,} bytes"])

    def forget(self) -> None:
        """Let go of all chunks."""
        self._parts.clear()
        self.size = 0

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


class Over:
    """The newest clips or streams of which nothing more is taken, so that what still comes of them does not begin them anew."""

    def __init__(self) -> None:
        self._keys: OrderedDict[Key, None] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        """Tell whether it is one of them."""
        return key in self._keys

    def add(self, key: Key) -> None:
        """Remember one; the oldest is forgotten."""
        self._keys[key] = None
        if len(self._keys) > REMEMBERED:
            self._keys.popitem(last=False)


class Gathering:
    """A clip, the task of the chunk that holds it together, and the clip before it in the conversation."""

    def __init__(self, clip: Clip, first: AudioChunk, before: "asyncio.Future[None] | None") -> None:
        self.holder = asyncio.current_task()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._clip = clip
        self._held = len(first.content)  # as a record, beside what the clip has of it
        self._before = before
        self._came = asyncio.Event()
        self._error: RequestRejected | None = None

    @property
    def size(self) -> int:
        """Bytes held, the record of the holder included."""
        return self._clip.size + self._held

    @property
    def settled(self) -> bool:
        """Whether it needs nothing more to be read."""
        return self._clip.whole or self._error is not None

    @property
    def takes(self) -> bool:
        """Whether more chunks are of use to it."""
        return not self.settled and not self.ended.done()

    @property
    def leaves(self) -> bool:
        """Whether it makes room without anything more being read."""
        return self.settled and (self._before is None or self._before.done())

    def add(self, chunk: AudioChunk) -> None:
        """Take in a chunk; what is wrong with it is the holder's to say."""
        try:
            self._clip.add(chunk)
        except AudioInvalid as error:
            self.give_up(error)
        self._came.set()

    def give_up(self, error: RequestRejected) -> None:
        """Let go of what there is; the holder says why."""
        self._error = error
        self._clip.forget()
        self._came.set()

    def wait_anew(self) -> None:
        """Give the next chunk all of its time again."""
        self._came.set()

    async def content(self, idle_s: float, held_up: Callable[[], bool]) -> bytes | None:
        """Return the whole file, once the clip before it in its conversation has ended; None without a beginning.

        Chunks without the first one are what is read again, after a kill, of a clip that had ended before it. No chunk is
        late while `held_up`: it may be there and not have been read.

        Raises:
            AudioInvalid: the chunks contradict each other, or one did not come for `idle_s`.
            AudioOverload: there was no room for all of it.
        """
        while not self.settled:
            self._came.clear()
            try:
                async with asyncio.timeout(idle_s):
                    await self._came.wait()
            except TimeoutError:
                if held_up():
                    continue
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
    """The clips under way in this worker.

    There is room for so many bytes. While clips that are whole leave, chunks wait for it, and so their partitions pause. When
    none leaves, more has to be read before any can, and so the newest that is not whole is given up, then the next, until the
    older ones have room to become whole.
    """

    def __init__(self, settings: TranscribeSettings) -> None:
        self._settings = settings
        self._most_bytes = int(room_mb(settings) * MEBIBYTE)
        self._gathering: dict[Key, Gathering] = {}
        self._newest: dict[str, asyncio.Future[None]] = {}
        self._ended = Over()
        self.held_bytes = 0
        self._waiting = 0
        self._room = asyncio.Event()

    def __len__(self) -> int:
        """Count the clips under way."""
        return len(self._gathering)

    async def content(self, chunk: AudioChunk, emit: Emit) -> bytes | None:
        """Return the whole file to the one chunk that holds it together, None to all others.

        Raises:
            AudioInvalid: there will be no whole file.
            AudioOverload: there is no room for it.
        """
        key = (request_key(chunk.origin), chunk.clip_id)
        if key in self._ended:
            return None
        gathering = self._gathering.get(key)
        if gathering is None:
            gathering = Gathering(Clip(self._settings), chunk, self._newest.get(key[0]))
            self._gathering[key] = gathering
            self._newest[key[0]] = gathering.ended
            self.held_bytes += gathering.size
            emit.at_end(self._end(key, gathering))
            self._bound()
        await self._add(chunk, gathering)
        if gathering.holder is not asyncio.current_task():
            return None
        return await gathering.content(self._settings.clip_idle_s, lambda: self._waiting > 0)

    async def _add(self, chunk: AudioChunk, gathering: Gathering) -> None:
        """Add a chunk once there is room for it."""
        self._waiting += 1
        try:
            while gathering.takes and self.held_bytes + len(chunk.content) > self._most_bytes:
                if any(other.leaves for other in self._gathering.values()):
                    self._room.clear()
                    await self._room.wait()
                else:
                    self._give_up_newest()
        finally:
            self._waiting -= 1
        if gathering.takes:
            self.held_bytes -= gathering.size
            gathering.add(chunk)
            self.held_bytes += gathering.size

    def _bound(self) -> None:
        """Keep clips that are not whole from taking the places of all handlers."""
        if len(self) > MOST_CLIPS and sum(not other.settled for other in self._gathering.values()) > MOST_CLIPS:
            self._give_up_newest()

    def _give_up_newest(self) -> None:
        newest = next(other for other in reversed(self._gathering.values()) if not other.settled)
        self.held_bytes -= newest.size
        newest.give_up(
            AudioOverload("more clips are under way than there is room for; send this one later, as a new clip")
        )
        self.held_bytes += newest.size

    def _end(self, key: Key, gathering: Gathering) -> Callable[[bool], None]:
        def end(done: bool) -> None:  # noqa: FBT001 - `Emit.at_end` calls it so
            del self._gathering[key]
            self.held_bytes -= gathering.size
            gathering.ended.set_result(None)
            if self._newest.get(key[0]) is gathering.ended:
                del self._newest[key[0]]
            if done:  # else its chunks are read again
                self._ended.add(key)
            self._make_room()

        return end

    def _make_room(self) -> None:
        if not self._waiting:
            return
        self._room.set()
        for gathering in self._gathering.values():
            gathering.wait_anew()
