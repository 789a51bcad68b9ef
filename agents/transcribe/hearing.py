"""Live speech in memory: at most some seconds of it, and which of its words will not change any more."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.records import Word
from streams.speech import BYTES_PER_S, SAMPLE_BYTES, Heard

LEAD_S = 0.3  # kept before speech, so that its first sound is whole
SILENT_S = 1.0  # of nothing but silence: let go
SAME_PLACE_S = 0.15  # a word that begins this much before the end of what is settled belongs to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What the end of the buffer says: how much of its front is an utterance that is over."""

    utterance_s: float  # 0 while somebody still speaks, or nobody has begun
    silent_s: float  # of the front that holds no speech and can go


class LiveAudio:
    """The newest seconds of a stream. Positions are bytes since its beginning."""

    def __init__(self, longest_s: float) -> None:
        self._longest = int(longest_s * BYTES_PER_S)
        self._pcm = bytearray()
        self.start = 0
        self.dropped_s = 0.0

    @property
    def end(self) -> int:
        """Position after the newest sample."""
        return self.start + len(self._pcm)

    @property
    def full(self) -> bool:
        """Whether the next frame may cost the older half."""
        return len(self._pcm) >= self._longest * 9 // 10

    def add(self, pcm: bytes) -> None:
        """Append a frame; a full buffer first loses its older half."""
        if len(self._pcm) + len(pcm) > self._longest:
            lost = max(len(self._pcm) // 2 // SAMPLE_BYTES * SAMPLE_BYTES, len(self._pcm) + len(pcm) - self._longest)
            self.dropped_s += min(lost, len(self._pcm)) / BYTES_PER_S
            self.forget(lost)
        self._pcm += pcm[-self._longest :]

    def lost(self, frames: int, frame: bytes) -> None:
        """Count frames that never came."""
        self.dropped_s += frames * len(frame) / BYTES_PER_S

    def forget(self, length: int) -> None:
        """Let go of the oldest bytes."""
        length = min(length, len(self._pcm))
        del self._pcm[:length]
        self.start += length

    def copy(self) -> bytes:
        """Return what is held."""
        return bytes(self._pcm)


def in_bytes(length_s: float) -> int:
    """Return the bytes of a time, whole samples."""
    return int(length_s * BYTES_PER_S) // SAMPLE_BYTES * SAMPLE_BYTES


def tail(heard: Heard, held_s: float, *, pause_s: float, ended: bool, full: bool) -> Tail:
    """Return what of the buffer is over: an utterance when a pause follows it, when the stream has ended or the buffer is full."""
    if not heard.speech:
        return Tail(
            utterance_s=0.0, silent_s=held_s if ended else max(0.0, held_s - LEAD_S) if held_s >= SILENT_S else 0.0
        )
    begun, over = heard.speech[0][0], heard.speech[-1][1]
    if ended or full:
        return Tail(utterance_s=held_s, silent_s=0.0)
    if held_s - over >= pause_s:
        return Tail(utterance_s=min(held_s, over + pause_s / 2), silent_s=0.0)
    return Tail(utterance_s=0.0, silent_s=max(0.0, begun - SILENT_S))


class Settled:
    """The words of an utterance in progress: two hypotheses in a row must agree on a word before it is settled."""

    def __init__(self) -> None:
        self._settled: list[Word] = []
        self._before: Sequence[Word] = ()

    def hear(self, words: Sequence[Word], *, final: bool = False) -> tuple[tuple[Word, ...], int]:
        """Return all words as now heard, beginning with the settled ones, and how many of them are settled."""
        since = self._settled[-1].end_s - SAME_PLACE_S if self._settled else float("-inf")
        fresh = [word for word in words if (word.start_s + word.end_s) / 2 > since]
        agreed = 0
        for now, before in zip(fresh, self._before, strict=False):
            if _plain(now) != _plain(before):
                break
            agreed += 1
        agreed = len(fresh) if final else agreed
        self._settled += fresh[:agreed]
        self._before = fresh[agreed:]
        return (*self._settled, *self._before), len(self._settled)


def spoken(words: Sequence[Word]) -> str:
    """Return words as a text."""
    return " ".join(word.text.strip() for word in words if word.text.strip())


def _plain(word: Word) -> str:
    return word.text.strip().strip(".,!?;:-").casefold()
