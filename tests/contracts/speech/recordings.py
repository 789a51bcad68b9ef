"""Audio made for the tests, encoded by FFmpeg's libraries."""

import io
import struct
from functools import cache
from typing import Any

import av
import numpy as np

from streams.speech import RATE_HZ

Samples = np.ndarray[tuple[int, ...], np.dtype[np.int16]]
ENCODERS = {
    "wav": ("wav", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "mp3"),
    "ogg": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
}


def tone(seconds: float = 1.0, *, hz: float = 440.0, rate_hz: int = RATE_HZ) -> Samples:
    """Return a tone at half of full scale."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.asarray(16_000 * np.sin(2 * np.pi * hz * at), dtype=np.int16)


def encoded(samples: Samples, kind: str, *, rate_hz: int = 48_000, channels: int = 1, codec: str = "") -> bytes:
    """Return a file of this kind."""
    container_format, default = ENCODERS[kind]
    file = io.BytesIO()
    layout = "mono" if channels == 1 else "stereo"
    with av.open(file, "w", format=container_format) as container:
        stream: Any = container.add_stream(codec or default, rate=rate_hz, layout=layout)  # of audio, by its codec
        packed = np.repeat(samples, channels)[None, :]
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate_hz, frame_size=stream.frame_size)
        for made in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))
    return file.getvalue()


def wav_header(
    *, rate_hz: int = RATE_HZ, channels: int = 1, bits: int = 16, claimed_bytes: int = 100, form: int = 1
) -> bytes:
    """Return the head of a WAV file that claims what it is told to."""
    frame = channels * bits // 8
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", (36 + claimed_bytes) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16, form, channels,
                       rate_hz, (rate_hz * frame) & 0xFFFFFFFF, frame & 0xFFFF, bits)  # fmt: skip
    return head + struct.pack("<4sI", b"data", claimed_bytes & 0xFFFFFFFF)


@cache
def bomb() -> bytes:
    """Return half an hour of silence in a small file."""
    return encoded(np.zeros(1_800 * 48_000, dtype=np.int16), "flac")
