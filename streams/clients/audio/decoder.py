"""Files to 16 kHz mono in memory, with FFmpeg's libraries (PyAV).

What a header claims is checked against what the project takes before any sample is decoded, and what is decoded is counted
while it comes: a small file that unpacks to hours ends as soon as it is longer than the settings allow. The demuxer is the
one the content was recognised as, so that a playlist cannot make FFmpeg open other files or addresses.
"""

import asyncio
import io
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import av
import av.error
import numpy as np

from streams.clients.audio.kind import PCM, checked
from streams.errors import AudioInvalid
from streams.settings import TranscribeSettings
from streams.speech import BYTES_PER_S, RATE_HZ

DEMUXERS = {"wav": "wav", "flac": "flac", "mp3": "mp3", "ogg": "ogg", "webm": "matroska"}
CODECS = frozenset(
    {
        "flac", "mp3", "mp3float", "opus", "libopus", "vorbis", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8",
        "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw",
    }
)  # fmt: skip
LEAST_RATE_HZ, MOST_RATE_HZ = 4_000, 192_000
MOST_CHANNELS = 8
MOST_STREAMS = 4
MOST_FRAME_SAMPLES = 1 << 20  # of one decoded frame; FLAC's largest has 65,535
LONGEST_S = 20.0  # of decoding: 16 MiB of the densest audio takes a few seconds
PROBED_BYTES = 1 << 20  # read to find the streams: a cover picture may stand before the sound
THREADS = 2


class FileDecoder:
    """A `Decoder`; files are decoded side by side in threads."""

    def __init__(self, settings: TranscribeSettings) -> None:
        self._most_s = settings.max_clip_s
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="decode")

    async def start(self) -> None:
        """Do nothing: there is nothing to load."""

    async def close(self) -> None:
        """Wait for the file under way; the others are left out."""
        await asyncio.to_thread(partial(self._threads.shutdown, cancel_futures=True))

    async def decode(self, content: bytes, *, codec: str, sample_rate_hz: int) -> bytes:
        """Return the audio of a whole file. Raises AudioInvalid."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, decoded, content, codec, sample_rate_hz, self._most_s
        )


def decoded(content: bytes, codec: str, sample_rate_hz: int, most_s: float) -> bytes:
    """Return mono s16le at 16 kHz. Raises AudioInvalid."""
    if checked(content, codec) == PCM:
        return _bounded(_raw(content, sample_rate_hz), most_s)
    try:
        with av.open(
            io.BytesIO(content),
            mode="r",
            format=DEMUXERS[codec],
            metadata_errors="ignore",
            options={"probesize": str(PROBED_BYTES), "analyzeduration": "5000000", "enable_drefs": "0"},
        ) as container:
            return _bounded(_resampled(_frames(container)), most_s)
    except av.error.FFmpegError as error:
        raise AudioInvalid([f"the {codec} file is damaged or cut off ({error.strerror})"]) from error
    except (ValueError, MemoryError, OverflowError) as error:  # PyAV's own checks of what a header claims
        raise AudioInvalid([f"the {codec} file is damaged: {type(error).__name__}"]) from error


def _frames(container: "av.container.InputContainer") -> Iterator[av.AudioFrame]:
    streams = container.streams.audio
    if not streams:
        raise AudioInvalid(["the file holds no audio"])
    if len(container.streams) > MOST_STREAMS:
        raise AudioInvalid([f"the file holds {len(container.streams)} streams; at most {MOST_STREAMS} are taken"])
    stream = streams[0]
    context = stream.codec_context
    _check_claims(context.name, context.sample_rate, context.channels)
    stop_at = time.monotonic() + LONGEST_S
    for frame in container.decode(stream):
        if frame.samples > MOST_FRAME_SAMPLES or time.monotonic() > stop_at:
            raise AudioInvalid(["the file takes too long to decode"])
        _check_claims(context.name, frame.sample_rate, len(frame.layout.channels))  # a stream may change on its way
        frame.pts = None
        yield frame


def _check_claims(codec: str, rate_hz: int, channels: int) -> None:
    problems = []
    if codec not in CODECS:
        problems.append(f"the file holds audio as {codec}, which is not taken")
    if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
        problems.append(f"the sample rate must be {LEAST_RATE_HZ:,} to {MOST_RATE_HZ:,} Hz, not {rate_hz:,}")
    if not 1 <= channels <= MOST_CHANNELS:
        problems.append(f"audio must have 1 to {MOST_CHANNELS} channels, not {channels}")
    if problems:
        raise AudioInvalid(problems)


def _raw(content: bytes, rate_hz: int) -> Iterable[bytes]:
    _check_claims(PCM, rate_hz, 1)
    if rate_hz == RATE_HZ:
        return (content,)
    return _resampled(_cut(content, rate_hz))


def _cut(content: bytes, rate_hz: int) -> Iterator[av.AudioFrame]:
    """Cut raw samples into frames of one second."""
    samples = np.frombuffer(content, dtype="<i2")
    for start in range(0, len(samples), rate_hz):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + rate_hz], format="s16", layout="mono")
        frame.sample_rate = rate_hz
        yield frame


def _resampled(frames: Iterator[av.AudioFrame]) -> Iterator[bytes]:
    resampler: av.AudioResampler | None = None
    shape: tuple[str, int, int] | None = None
    for frame in frames:
        now = (frame.format.name, frame.sample_rate, len(frame.layout.channels))
        if now != shape:  # the first frame, or the format has changed on its way
            if resampler is not None:
                yield from _samples(resampler, None)
            resampler, shape = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ), now
        assert resampler is not None  # noqa: S101 - made with the first shape
        yield from _samples(resampler, frame)
    if resampler is not None:
        yield from _samples(resampler, None)


def _samples(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[bytes]:
    return (made.to_ndarray().tobytes() for made in resampler.resample(frame))


def _bounded(parts: Iterable[bytes], most_s: float) -> bytes:
    """Join the parts as long as they are not too long."""
    pcm = bytearray()
    for part in parts:
        pcm += part
        if len(pcm) > most_s * BYTES_PER_S:
            raise AudioInvalid([f"the clip is longer than {most_s:g} s"])
    if not pcm:
        raise AudioInvalid(["the file holds no sound: it is empty or cut off"])
    return bytes(pcm)
