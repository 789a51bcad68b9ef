"""Live speech: small frames by session, partial transcripts while somebody speaks, a final one after every utterance.

As with clips the topic keeps what is not done: the frame an utterance begins in holds it, its handler stays until the
utterance is over. Meanwhile every quarter of a second one more frame waits, until it is known to lie among the words of this
utterance; the latest of them that lies before the rest of the buffer holds the next one, so that every sample not yet
transcribed is read again after a kill.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agents.transcribe import rules
from agents.transcribe.clips import Key, Over
from agents.transcribe.hearing import LEAD_S, LiveAudio, Settled, Tail, in_bytes, spoken, tail
from schemas.records import AudioChunk, Transcript, Word
from streams.emit import Emit
from streams.errors import AudioOverload
from streams.settings import TranscribeSettings
from streams.speech import Heard, Recognizer, seconds
from streams.topic import Topic, request_key

HELD_EVERY_S = 0.25
MOST_HELD = 12  # frames of a stream; those of the words being spoken are let go with every hearing
MOST_STREAMS = 250


@dataclass(slots=True)
class Holder:
    """A frame whose handler has not returned, so that it and what follows are not acknowledged."""

    position: int
    chunk: AudioChunk
    task: "asyncio.Task[None] | None"
    called: "asyncio.Future[bool]"
    utterances: int = 0


class LiveStream:
    """One stream of frames."""

    def __init__(self, settings: TranscribeSettings) -> None:
        self.audio = LiveAudio(settings.live_buffer_s)
        self.settled = Settled()
        self.holders: list[Holder] = []
        self.came = asyncio.Event()
        self.ended = False
        self.spoke = False
        self.told = False
        self._next = -1

    def add(self, chunk: AudioChunk) -> bool:
        """Take in a frame. False when it had come before, or too late."""
        if self._next >= 0 and chunk.sequence < self._next:
            return False
        if self._next >= 0:
            self.audio.lost(chunk.sequence - self._next, chunk.content)
        self._next = chunk.sequence + 1
        self.audio.add(chunk.content)
        self.ended = self.ended or chunk.last
        self.came.set()
        return True


class LiveStreams:
    """The live streams of this worker."""

    def __init__(
        self,
        recognizer: Recognizer,
        settings: TranscribeSettings,
        *,
        on_speech: Callable[[AudioChunk, Emit], None],
        on_utterance: Callable[[Transcript, AudioChunk, Emit], None],
        transcripts: Topic[Transcript],
    ) -> None:
        self._recognizer = recognizer
        self._settings = settings
        self._on_speech = on_speech
        self._on_utterance = on_utterance
        self._transcripts = transcripts
        self._streams: OrderedDict[Key, LiveStream] = OrderedDict()
        self._refused = Over()

    def __len__(self) -> int:
        """Count the streams held."""
        return len(self._streams)

    async def hear(self, chunk: AudioChunk, emit: Emit) -> None:
        """Take in one frame.

        Raises:
            AudioInvalid: it is no frame of live speech.
            AudioOverload: too many speak; said once of a stream.
            SpeechUnavailable: the model cannot answer now.
        """
        rules.check(chunk)
        key = (request_key(chunk.origin), chunk.clip_id)
        if key in self._refused:
            return
        stream = self._streams.get(key) or self._begin(key)
        holder = self._held(key, stream, chunk, emit)
        if holder is None or not await holder.called:
            return
        await self._attend(stream, holder, emit)

    def _begin(self, key: Key) -> LiveStream:
        if len(self._streams) >= MOST_STREAMS:
            idle = next((old for old, stream in self._streams.items() if not stream.holders), None)
            if idle is None:
                self._refused.add(key)
                raise AudioOverload(f"{MOST_STREAMS:,} live streams are open; begin a new one later")
            del self._streams[idle]
        stream = self._streams[key] = LiveStream(self._settings)
        return stream

    def _held(self, key: Key, stream: LiveStream, chunk: AudioChunk, emit: Emit) -> Holder | None:
        """Add the frame; return its place when it must not be acknowledged yet."""
        task = asyncio.current_task()
        known = next((holder for holder in stream.holders if holder.task is task), None)
        if known is not None:
            return known  # tried again
        position = stream.audio.end
        if not stream.add(chunk):
            return None
        last = stream.holders[-1].position if stream.holders else None
        if last is not None and (position - last < in_bytes(HELD_EVERY_S) or len(stream.holders) >= MOST_HELD):
            return None
        holder = Holder(position, chunk, task, asyncio.get_running_loop().create_future())
        if last is None:
            holder.called.set_result(True)
        stream.holders.append(holder)
        emit.at_end(self._let_go(key, stream, holder))
        return holder

    def _let_go(self, key: Key, stream: LiveStream, holder: Holder) -> Callable[[bool], None]:
        def end(done: bool) -> None:  # noqa: FBT001 - `Emit.at_end` calls it so
            if holder in stream.holders:
                stream.holders.remove(holder)
            over = stream.ended and not stream.holders
            if (over or not done) and self._streams.get(key) is stream:
                del self._streams[key]  # its frames are read again, or there are none
            elif done and stream.holders and not stream.holders[0].called.done():
                stream.holders[0].called.set_result(True)  # the one before was given up

        return end

    async def _attend(self, stream: LiveStream, holder: Holder, emit: Emit) -> None:
        """Transcribe until an utterance is over and another frame holds the rest of the buffer."""
        heard_up_to = stream.audio.start
        while True:
            await self._more(stream, heard_up_to)
            heard_up_to, began = stream.audio.end, stream.audio.start
            pcm = stream.audio.copy()
            heard = await self._recognizer.listen(pcm, language=holder.chunk.language)
            over = tail(
                heard, seconds(pcm), pause_s=self._settings.live_pause_s, ended=stream.ended, full=stream.audio.full
            )
            vanished = stream.told and not heard.speech and over.silent_s > 0  # what was told of is no speech after all
            final = over.utterance_s > 0 or vanished
            if heard.speech or vanished:
                self._tell(stream, holder, heard, over, began, emit, final=final)
            cut = began + in_bytes(over.utterance_s or over.silent_s)
            stream.audio.forget(max(0, cut - stream.audio.start))
            if final:
                stream.settled, stream.spoke, stream.told = Settled(), False, False
                holder.utterances += 1
            elif heard.speech:
                _free(stream, holder, began + in_bytes(heard.speech[-1][1] - LEAD_S))
            if self._hand_over(stream, holder):
                return

    async def _more(self, stream: LiveStream, heard_up_to: int) -> None:
        """Wait until there is more to hear; a stream that stands still has ended."""
        while not stream.ended and stream.audio.end - heard_up_to < in_bytes(self._settings.live_step_s):
            stream.came.clear()
            try:
                async with asyncio.timeout(self._settings.clip_idle_s):
                    await stream.came.wait()
            except TimeoutError:
                stream.ended = True

    def _hand_over(self, stream: LiveStream, holder: Holder) -> bool:
        """Let the latest frame before the rest of the buffer hold it. False when that is this frame itself."""
        if stream.ended and stream.audio.start == stream.audio.end:
            _free(stream, holder, stream.audio.end + 1)
            return True
        before = [other for other in stream.holders if other.position <= stream.audio.start]
        following = before[-1] if before else holder
        if following is holder:
            return False
        _free(stream, following, following.position)
        if not following.called.done():
            following.called.set_result(True)
        return True

    def _tell(
        self, stream: LiveStream, holder: Holder, heard: Heard, over: Tail, began: int, emit: Emit, *, final: bool
    ) -> None:
        chunk, told = holder.chunk, rules.believed(heard)
        if not stream.spoke and told.text:
            stream.spoke = True
            self._on_speech(chunk, emit)
        words, settled = stream.settled.hear(_shifted(told.words, began), final=final)
        held_s = seconds(stream.audio.copy())
        said = rules.transcript(chunk, heard, told, self._settings, duration_s=over.utterance_s or held_s)
        said = replace(
            said,
            origin=rules.utterance_origin(chunk.origin, chunk.sequence, holder.utterances),
            final=final,
            text=spoken(words),
            words=words,
            stable_chars=len(spoken(words[:settled])),
            dropped_s=stream.audio.dropped_s,
        )
        if not said.text and not (final and stream.told):
            return
        stream.told = True
        emit.now(self._transcripts, said)
        if final:
            self._on_utterance(said, chunk, emit)


def _free(stream: LiveStream, holder: Holder, position: int) -> None:
    """Let go of all frames before a position but the one that holds the utterance."""
    for other in stream.holders:
        if other is not holder and other.position < position and not other.called.done():
            other.called.set_result(False)
    stream.holders = [other for other in stream.holders if other is holder or other.position >= position]


def _shifted(words: Sequence[Word], position: int) -> tuple[Word, ...]:
    """Return words with times from the beginning of the stream."""
    offset_s = position / in_bytes(1.0)
    return tuple(replace(word, start_s=word.start_s + offset_s, end_s=word.end_s + offset_s) for word in words)
